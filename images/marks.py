"""Marks in image files: records of the jobs that changed an image.

A PNG holds them in an international text chunk with the keyword :data:`KEY`, a JPEG in a comment
that begins with the keyword. Jobs refuse marked images, because changes would add up.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from engine.records import parse_json

KEY = "image-defence"
"""Keyword of the marks in a file."""

MAX_TEXT_CHARACTERS = 1 << 16
"""Longest text that is read as marks."""


@dataclass(frozen=True)
class Mark:
    """Record of one change of an image.

    Attributes:
            job: protect, activate or plant.
        weights: Hexadecimal sha256 of the model's weights.
        original: Hexadecimal sha256 of the original file; of its values where there is no file.
        levels: L-infinity bound of the change in gray levels of 255; None if unbounded.
    """

    job: str
    weights: str
    original: str
    levels: float | None = None


def marks_text(marks: tuple[Mark, ...]) -> str:
    """Write marks as one line of JSON."""
    return json.dumps([asdict(mark) for mark in marks], separators=(",", ":"))


def parse_marks(text: str) -> tuple[Mark, ...]:
    """Parse the output of :func:`marks_text`.

    Raises:
        ValueError: If the text is anything else.
    """
    if len(text) > MAX_TEXT_CHARACTERS:
        limit = f"at most {MAX_TEXT_CHARACTERS} are allowed"
        msg = f"its {KEY} text has {len(text)} characters; {limit}"
        raise ValueError(msg)
    return tuple(parse_json(text, list[Mark], f"its {KEY} text"))
