"""Marks inside image files: which job changed an image, with which weights, and from what.

A PNG holds them in an international text chunk with the keyword :data:`KEY`, a JPEG in a comment
that begins with it. Jobs read them to refuse an image that was protected or activated already,
whose changes would add up.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from engine.records import parse_json

KEY = "image-defence"

MAX_TEXT = 1 << 16
"""Longest text that is read as marks, in characters."""


@dataclass(frozen=True)
class Mark:
    """A change that a job made.

    Attributes:
        job: What was done: protect, activate or plant.
        weights: Hexadecimal sha256 of the weights it was done with.
        original: Hexadecimal sha256 of the file that it was done to.
        levels: Largest change of a value in grey levels of 255; None where nothing bounds it.
    """

    job: str
    weights: str
    original: str
    levels: float | None = None


def marks_text(marks: tuple[Mark, ...]) -> str:
    """Write marks as one line of JSON."""
    return json.dumps([asdict(mark) for mark in marks], separators=(",", ":"))


def parse_marks(text: str) -> tuple[Mark, ...]:
    """Read what :func:`marks_text` wrote.

    Raises:
        ValueError: If it is anything else.
    """
    if len(text) > MAX_TEXT:
        msg = f"its {KEY} text has {len(text)} characters, which no such text has"
        raise ValueError(msg)
    return tuple(parse_json(text, list[Mark], f"its {KEY} text"))
