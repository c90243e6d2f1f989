"""Strict parsing of language-model answers."""

from __future__ import annotations

import re
from typing import Literal

Verdict = Literal["yes", "no", "undecided"]

QUOTES = "\"'`\u2018\u2019\u201c\u201d"
REFUSAL = re.compile(r"\b(can't|cannot|can not|unable to|won't|sorry|not able to)\b", re.IGNORECASE)

LIST_MARKER = re.compile(r"^\s*(?:\d\.(?!\d)|-)\s*")
"""A dash, or a single digit with a point, at the start of a line."""

RANKING = re.compile(r"\s*\[?\s*\d+(?:\s*,\s*\d+)*\s*\]?\.?\s*")
"""Comma-separated numbers, in brackets or not."""


def yes_or_no(text: str) -> Verdict:
    """Return "yes" or "no" if the first word is one of them.

    "eyes" and "yesterday" are undecided.
    """
    words = re.findall(r"[a-z']+", text.lower())
    first = words[0] if words else ""
    if first == "yes":
        return "yes"
    return "no" if first == "no" else "undecided"


def is_refusal(text: str) -> bool:
    """Return True if a model declines the request."""
    return bool(REFUSAL.search(text.replace("\u2019", "'")))


def parse_list(text: str) -> list[str]:
    """Parse a list with one item per line.

    List markers and quotes are removed. Empty lines and bare numbers are dropped. A marker is a
    dash, a single digit with a point at the start, or the line's own number with a point anywhere
    ("Caption 1. a cat").
    """
    items = []
    lines = [line for line in text.splitlines() if line.strip()]
    for number, line in enumerate(lines, start=1):
        item = LIST_MARKER.sub("", line)
        numbered = re.search(rf"(?<!\d){number}\.\s+(.*)$", item)
        if numbered:
            item = numbered.group(1)
        item = item.strip().strip(QUOTES).strip()
        if item and not item.isdigit():
            items.append(item)
    return items


def parse_ranking(text: str, count: int) -> list[int] | None:
    """Parse a ranking of images given as comma-separated indices.

    Args:
        text: The answer, such as "2, 0".
        count: Number of images; indices are in [0, count).

    Returns:
        The indices without repetitions; None if the answer has another form or an index is out of
        range.
    """
    if not RANKING.fullmatch(text):
        return None
    indices = list(dict.fromkeys(int(number) for number in re.findall(r"\d+", text)))
    return indices if all(index < count for index in indices) else None
