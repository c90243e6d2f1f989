"""Main figures of a human test in a few lines of text."""

from __future__ import annotations

from typing import Any

PAIR_SHARES = ("target_chosen",)
LABEL_SHARES = ("accuracy", "precision", "recall", "specificity", "false_omission")
INTERVALS = "95 % intervals: two-way bootstrap over people and images"


def in_words(record: dict[str, Any]) -> str:
    """Format the main figures with their intervals, numbers and units."""
    kind = record["kind"]
    units = "images" if kind == "label" else "items"
    lines = [
        f"{record['people']} people, {record['images']} {units}, {record['answers']} answers, "
        f"{record['seconds_median']:.1f} s each (median)",
        f"{record['began']} people began, {record['completed']} answered every question",
        INTERVALS if record["people"] > 1 else "no intervals: they need at least 2 people",
    ]
    if kind == "rating":
        return "\n".join(lines + _ratings(record))

    # Shares of all answers, and the main share by category.
    names = PAIR_SHARES if kind == "pair" else LABEL_SHARES
    lines += [f"{name.replace('_', ' ')}: {_share(record[name])}" for name in names]
    if kind == "pair":
        lines.append(f"p of telling no better than guessing on average: {_p(record['p_guessing'])}")
    for category, shares in record["by_category"].items():
        line = f"  {category}: {_share(shares[names[0]])}"
        if kind == "pair":
            line += f", p of guessing {_p(shares['p_guessing'])}"
            line += f", after Holm over {record['comparisons']} {_p(shares['p_guessing_holm'])}"
        lines.append(line)

    # The same shares of a detector.
    if detector := record.get("detector"):
        lines.append(
            f"{detector['name']} on the same {detector['images']} distinct images, "
            "exact intervals over images:"
        )
        lines += [f"  {name.replace('_', ' ')}: {_share(detector[name])}" for name in names]
    return "\n".join(lines)


def _ratings(record: dict[str, Any]) -> list[str]:
    """Format mean ratings and their differences, one line each."""
    lines = []
    for label, rating in record["ratings"].items():
        span = _span(rating, ".2f")
        lines.append(f"{label}: {rating['mean']:.2f} ({span}; {rating['answers']} answers)")
    total = len(record["differences"])
    for pair, difference in record["differences"].items():
        span = _span(difference, "+.2f")
        lines.append(
            f"{pair}: {difference['mean']:+.2f} ({span}), p = {_p(difference['p'])}, "
            f"after Holm {_p(difference['p_holm'])}; {total} comparison(s) in all"
        )
    return lines


def _share(share: dict[str, Any] | None) -> str:
    """Format a share with its interval and counts."""
    if share is None:
        return "-"
    return f"{share['share']:.1%} ({_span(share, '.1%')}; {share['count']} of {share['of']})"


def _span(interval: dict[str, Any], form: str) -> str:
    """Format an interval, its bounds in one number format."""
    if interval["low"] is None:
        return "no interval"
    return f"{format(interval['low'], form)} to {format(interval['high'], form)}"


def _p(value: float | None) -> str:
    """Format a p-value."""
    return "not known from one person or image" if value is None else f"{value:.4f}"
