"""Text of a decision for the terminal."""

from __future__ import annotations

from typing import Any

from engine.pages.shell import in_brackets, number, p_value

SIDES = ("system", "control", "decoy")
"""Systems of a decision, the tested one first."""

NOT_A_TEST = (
    "no verdict: outputs were compared with the sentinels, as published, which is not a valid "
    "test: any system that letters the key resembles its sentinel"
)
"""Verdict on the published comparison."""


def in_words(decision: dict[str, Any]) -> str:
    """Format the verdicts, their evidence and the comparison with the control."""
    lines = []
    for side in SIDES:
        if side in decision:
            lines += _system_lines(side, decision[side])
    if "against_control" in decision:
        lines += _control_lines(decision["against_control"])
    return "\n".join(lines)


def verdict(facts: dict[str, Any]) -> str:
    """Return the verdict on one system.

    It is undecided with too few keys, and missing for the published comparison.
    """
    if not facts["valid_test"]:
        return NOT_A_TEST
    if facts["used"] is None:
        return f"undecided: {facts['reach']['words']}"
    if facts["used"]:
        return "the sentinels were used"
    return "no evidence that the sentinels were used"


def not_compared(decision: dict[str, Any]) -> list[str]:
    """List the keys that were not compared, as ``SYSTEM: KEY: REASON``."""
    lines = []
    for side in SIDES:
        for name, reason in decision.get(side, {}).get("missing", {}).items():
            lines.append(f"{side}: {name}: {reason}")
    return lines


def _system_lines(side: str, facts: dict[str, Any]) -> list[str]:
    """Format the verdict on one system and its evidence."""
    keys = facts["keys"]
    reach = facts["reach"]
    # Verdict and permutation test.
    lines = [f"{side}: {verdict(facts)}"]
    if facts["valid_test"]:
        test = facts["permutation"]
        pairings = "all" if test["exact"] else "drawn"
        lines[0] += (
            f": p = {p_value(test['p'])} ({pairings} pairings, {keys} keys, least possible p "
            f"{p_value(reach['least_p'])})"
        )
    # Similarities and rates.
    similarity = facts["similarity"]
    kind = facts["compared_with"]
    own = f"{similarity['mean']:.3f}{in_brackets(similarity['interval'])}"
    others = f"{similarity['mismatched']:.3f}"
    if similarity["effect_size"] is not None:
        others += f"; effect size {similarity['effect_size']:.2f}"
    lines.append(f"  similarity to the {kind}: to its own {own}, to others {others}")
    lines.append(
        f"  trigger rate {_share(facts['triggered'])}; Hit@1 {_share(facts['hits']['hit@1'])}; "
        f"{facts['trials']} trials of {facts['asked_keys']} keys, 95 % intervals over keys"
    )
    if facts["valid_test"]:
        lines.append(f"  sequential test: {_sequential_words(facts)}")
    if missing := facts["missing"]:
        name, reason = next(iter(missing.items()))
        keys_words = "1 key, that" if len(missing) == 1 else f"{len(missing)} keys, such as that"
        lines.append(f"  not compared: {keys_words} of {name}: {reason}")
    return lines


def _sequential_words(facts: dict[str, Any]) -> str:
    """Format the result of the sequential test."""
    stop = facts["sequential"]["stop_after_keys"]
    needed = facts["reach"]["sequential_keys"]
    if stop:
        return f"decided after {stop} keys"
    if facts["keys"] < needed:
        return f"undecided; {facts['keys']} keys are too few, it takes {needed}"
    return "undecided"


def _control_lines(facts: dict[str, Any]) -> list[str]:
    """Format the comparison with the control system."""
    rates = []
    for rate in (1, 10):
        value = number(facts[f"tpr_at_{rate}_fpr"], "-")
        interval = in_brackets(facts[f"tpr_at_{rate}_fpr_interval"])
        rates.append(f"{value}{interval} at {rate} %")
    queries = facts["queries"]
    lines = [
        f"against control ({facts['common_keys']} keys, {queries} "
        f"{'query' if queries == 1 else 'queries'} per score): "
        f"AUC {facts['auc']:.3f}{in_brackets(facts['auc_interval'])}, "
        f"TPR {rates[0]} FPR, {rates[1]}"
    ]
    if facts["tpr_at_1_fpr"] is None:
        lines.append("  '-': too few keys; TPR at 1 % FPR takes 300 keys, at 10 % FPR 30 keys")
    lines.append(f"  {_threshold_words(facts['threshold'])}")
    if facts["warning"]:
        lines.append(f"  {facts['warning']}")
    return lines


def _threshold_words(threshold: dict[str, Any]) -> str:
    """Format whether the mean similarity exceeds the threshold set on the control."""
    rate = f"{threshold['fpr']:g}"
    if threshold["eta"] is None:
        return f"threshold at a rate of {rate}: none, with so few keys"
    exceeded = "exceeded" if threshold["exceeded"] else "not exceeded"
    return (
        f"threshold {threshold['eta']:.3f} of the mean over {threshold['keys']} keys, which a "
        f"system like the control exceeds at a rate of {rate}: {exceeded}"
    )


def _share(rate: dict[str, Any]) -> str:
    """Format a share in percent with its interval."""
    return f"{rate['share']:.0%}{in_brackets(rate['interval'], '.0%')}"
