"""Figures of a human test in a few lines."""

from __future__ import annotations

from typing import Any

INTERVALS = "95 % intervals: two-way bootstrap over people and images"


def in_words(record: dict[str, Any]) -> str:
    """The main figures with their intervals, numbers and units."""
    lines = [
        f"{record['people']} people, {record['images']} {'images' if record['kind'] == 'label' else 'items'}, "
        f"{record['answers']} answers, {record['seconds_median']:.1f} s each (median)",
        INTERVALS if record["people"] > 1 else "no intervals: they need at least 2 people",
    ]
    if record["kind"] == "rating":
        return "\n".join(lines + _ratings(record))
    names = (
        ("target_chosen",)
        if record["kind"] == "pair"
        else ("accuracy", "precision", "recall", "specificity", "false_omission")
    )
    lines += [f"{name.replace('_', ' ')}: {_said(record[name])}" for name in names]
    main = names[0]
    if record["kind"] == "pair":
        lines.append(f"p of telling no better than guessing on average: {_p(record['p_guessing'])}")
    lines += [f"  {group}: {_said(found[main])}" for group, found in record["by_category"].items()]
    if told := record.get("detector"):
        lines.append(
            f"{told['name']} on the same {told['images']} distinct images, exact intervals over images:"
        )
        lines += [f"  {name.replace('_', ' ')}: {_said(told[name])}" for name in names]
    return "\n".join(lines)


def _ratings(record: dict[str, Any]) -> list[str]:
    """Mean ratings and their differences, a line each."""
    lines = [
        f"{label}: {found['mean']:.2f} ({_span(found, '.2f')}; {found['answers']} answers)"
        for label, found in record["ratings"].items()
    ]
    return lines + [
        f"{pair}: {found['mean']:+.2f} ({_span(found, '+.2f')}), p = {_p(found['p'])}; "
        f"{len(record['differences'])} comparison(s) in all"
        for pair, found in record["differences"].items()
    ]


def _said(found: dict[str, Any] | None) -> str:
    if found is None:
        return "-"
    return f"{found['share']:.1%} ({_span(found, '.1%')}; {found['count']} of {found['of']})"


def _span(found: dict[str, Any], form: str) -> str:
    """An interval in words."""
    if found["low"] is None:
        return "no interval"
    return f"{format(found['low'], form)} to {format(found['high'], form)}"


def _p(value: float | None) -> str:
    return "not known from one person or image" if value is None else f"{value:.4f}"
