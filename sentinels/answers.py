"""Strict reading of what language models answer."""

from __future__ import annotations

import re
from typing import Literal

Verdict = Literal["yes", "no", "undecided"]

QUOTES = "\"'`\u2018\u2019\u201c\u201d"
REFUSAL = re.compile(r"\b(can't|cannot|can not|unable to|won't|sorry|not able to)\b", re.IGNORECASE)


def yes_or_no(text: str) -> Verdict:
    """The first word of an answer, if it is yes or no: "eyes" and "yesterday" are neither."""
    words = re.findall(r"[a-z']+", text.lower())
    first = words[0] if words else ""
    return "yes" if first == "yes" else "no" if first == "no" else "undecided"


def is_refusal(text: str) -> bool:
    """Does a model say that it cannot?"""
    return bool(REFUSAL.search(text.replace("\u2019", "'")))


def listed(text: str) -> list[str]:
    """Answers given one a line, without list markers and quotes; empty lines and bare numbers are none.

    A marker is a dash, a single digit with a point at the start, or the line's own number with a point anywhere ("Caption 1. a cat").
    """
    found = []
    for number, line in enumerate((line for line in text.splitlines() if line.strip()), start=1):
        said = re.sub(r"^\s*(?:\d\.(?!\d)|-)\s*", "", line)
        own = re.search(rf"(?<!\d){number}\.\s+(.*)$", said)
        said = (own.group(1) if own else said).strip().strip(QUOTES).strip()
        if said and not said.isdigit():
            found.append(said)
    return found


def chosen(text: str, count: int) -> list[int] | None:
    """Places picked out of ``count`` pictures, as comma-separated numbers from 0; None if the answer is anything else."""
    if not re.fullmatch(r"\s*\[?\s*\d+(?:\s*,\s*\d+)*\s*\]?\.?\s*", text):
        return None
    places = list(dict.fromkeys(int(number) for number in re.findall(r"\d+", text)))
    return places if all(place < count for place in places) else None
