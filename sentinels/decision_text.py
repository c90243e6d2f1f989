"""Text of a decision for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def in_words(decision: dict[str, Any]) -> str:
    """Format the verdicts, their evidence and the comparison with the control."""
    lines = []
    for side in ("system", "control"):
        if side in decision:
            lines += _system_lines(side, decision[side])
    if "against_control" in decision:
        lines += _control_lines(decision["against_control"])
    return "\n".join(lines)


def verdict(facts: dict[str, Any]) -> str:
    """Return the verdict on one system; it is undecided with too few keys."""
    if facts["used"] is None:
        return f"undecided: {facts['reach']['words']}"
    if facts["used"]:
        return "the sentinels were used"
    return "no evidence that the sentinels were used"


def _system_lines(side: str, facts: dict[str, Any]) -> list[str]:
    """Format the verdict on one system and its evidence."""
    keys = facts["keys"]
    reach = facts["reach"]
    # Verdict and permutation test.
    test = facts["permutation"]
    pairings = "all" if test["exact"] else "drawn"
    lines = [
        f"{side}: {verdict(facts)}: p = {test['p']:.2g} ({pairings} pairings, {keys} keys, "
        f"least possible p {reach['least_p']:.2g})"
    ]
    # Similarities and rates.
    similarity = facts["similarity"]
    own = f"{similarity['mean']:.3f}{_span(similarity['interval'])}"
    others = f"{similarity['mismatched']:.3f}"
    lines.append(f"  mean similarity: own sentinel {own}, other sentinels {others}")
    lines.append(
        f"  trigger rate {_share(facts['triggered'])}; Hit@1 {_share(facts['hits']['hit@1'])}; "
        f"{facts['trials']} trials of {facts['asked_keys']} keys, 95 % intervals over keys"
    )
    # Sequential test.
    stop = facts["sequential"]["stop_after_keys"]
    needed = reach["sequential_keys"]
    if stop:
        lines.append(f"  sequential test: decided after {stop} keys")
    elif keys < needed:
        lines.append(f"  sequential test: undecided; {keys} keys are too few, it takes {needed}")
    else:
        lines.append("  sequential test: undecided")
    if facts["missing"]:
        lines.append(f"  not compared: {len(facts['missing'])} keys")
    return lines


def _control_lines(facts: dict[str, Any]) -> list[str]:
    """Format the comparison with the control system."""
    rates = []
    for rate in (1, 10):
        value = _number(facts[f"tpr_at_{rate}_fpr"])
        interval = _span(facts[f"tpr_at_{rate}_fpr_interval"])
        rates.append(f"{value}{interval} at {rate} %")
    lines = [
        f"against control ({facts['common_keys']} keys, {facts['queries']} queries per score): "
        f"AUC {facts['auc']:.3f}{_span(facts['auc_interval'])}, TPR {rates[0]} FPR, {rates[1]}"
    ]
    if facts["tpr_at_1_fpr"] is None:
        lines.append("  '-': too few keys; TPR at 1 % FPR takes 300 keys, at 10 % FPR 30 keys")
    if facts["warning"]:
        lines.append(f"  {facts['warning']}")
    return lines


def _share(rate: dict[str, Any]) -> str:
    """Format a share in percent with its interval."""
    return f"{rate['share']:.0%}{_span(rate['interval'], '.0%')}"


def _number(value: float | None) -> str:
    """Format a figure; a dash if it is None."""
    return "-" if value is None else f"{value:.3f}"


def _span(interval: Sequence[float] | None, form: str = ".3f") -> str:
    """Format an interval in brackets; empty if it is None."""
    if interval is None:
        return ""
    return f" ({format(interval[0], form)} to {format(interval[1], form)})"
