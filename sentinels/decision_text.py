"""A decision in words for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def in_words(found: dict[str, Any]) -> str:
    """Say what was decided, from how many keys, and what could not be decided."""
    lines = []
    for side in ("system", "control"):
        if side in found:
            lines += _side(side, found[side])
    if "against_control" in found:
        lines += _against(found["against_control"])
    return "\n".join(lines)


def verdict(facts: dict[str, Any]) -> str:
    """Say if the sentinels were used; with too few keys nothing can be said."""
    if facts["used"] is None:
        return f"undecided: {facts['reach']['words']}"
    if facts["used"]:
        return "the sentinels were used"
    return "no evidence that the sentinels were used"


def _side(side: str, facts: dict[str, Any]) -> list[str]:
    """Lines of one system."""
    test, similarity, hits = facts["permutation"], facts["similarity"], facts["hits"]["hit@1"]
    pairings = "all" if test["exact"] else "drawn"
    lines = [
        f"{side}: {verdict(facts)}: p = {test['p']:.2g} ({pairings} pairings, {facts['keys']} keys, "
        f"least possible p {facts['reach']['least_p']:.2g})",
        f"  similarity to the own sentinel {similarity['mean']:.3f}{_span(similarity['interval'])}, to others {similarity['mismatched']:.3f}",
        f"  looked into its database {_share(facts['triggered'])}; Hit@1 {_share(hits)}; "
        f"{facts['trials']} trials of {facts['asked_keys']} keys, 95 % over keys",
    ]
    stop = facts["sequential"]["stop_after_keys"]
    if stop:
        lines.append(f"  asked one by one: decided after {stop} keys")
    else:
        needed = facts["reach"]["sequential_keys"]
        few = f"; {facts['keys']} keys cannot, at least {needed}" if facts["keys"] < needed else ""
        lines.append(f"  asked one by one: not decided{few}")
    if facts["missing"]:
        lines.append(f"  not compared: {len(facts['missing'])} keys")
    return lines


def _against(facts: dict[str, Any]) -> list[str]:
    """Lines of the comparison with the control."""
    rates = [
        f"{_number(facts[f'tpr_at_{rate}_fpr'])}{_span(facts[f'tpr_at_{rate}_fpr_interval'])} at {rate} %"
        for rate in (1, 10)
    ]
    lines = [
        f"against control, {facts['common_keys']} keys, {facts['queries']} queries a score: "
        f"AUC {facts['auc']:.3f}{_span(facts['auc_interval'])}, TPR {rates[0]} FPR, {rates[1]}"
    ]
    if facts["tpr_at_1_fpr"] is None:
        lines.append("  a dash: 1 % wants at least 300 keys, 10 % at least 30")
    if facts["warning"]:
        lines.append(f"  {facts['warning']}")
    return lines


def _share(found: dict[str, Any]) -> str:
    return f"{found['share']:.0%}{_span(found['interval'], '.0%')}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _span(interval: Sequence[float] | None, form: str = ".3f") -> str:
    """An interval in brackets; empty without one."""
    if interval is None:
        return ""
    return f" ({format(interval[0], form)} to {format(interval[1], form)})"
