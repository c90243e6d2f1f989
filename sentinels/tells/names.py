"""Tell of the names: another pattern than the collection's, or a number out of its row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

MAJORITY = 0.5
"""Share of the names above which a shape is the collection's."""

COMMON = 0.01
"""Least share of the originals' names with a shape that a sentinel's name may have."""

WIDE_GAP = 10.0
"""Gap that ends a row of numbers, in medians of the gaps."""

Shape = Callable[[str], str]


def _literal(stem: str) -> str:
    """Replace digits: IMG_0042 is IMG_9999."""
    return re.sub(r"\d", "9", stem)


def _classes(stem: str) -> str:
    """Replace digits and letters: IMG_0042 is AAA_9999."""
    return re.sub(r"[a-z]", "a", re.sub(r"[A-Z]", "A", _literal(stem)))


def _any_character(stem: str) -> str:
    """Replace digits and letters by one sign: 3fa9-01 is xxxx-xx."""
    return re.sub(r"[A-Za-z0-9]", "x", stem)


def _any_length(stem: str) -> str:
    """Replace runs of digits and letters: summer-2019 is x-x."""
    return re.sub(r"[A-Za-z0-9]+", "x", stem)


SHAPES: tuple[Shape, ...] = (_literal, _classes, _any_character, _any_length)
"""Descriptions of a name, the most exact first."""


def shape_of(names: Sequence[str]) -> Shape | None:
    """Choose the most exact shape that most names share; None if they share none."""
    for shape in SHAPES:
        counts = Counter(shape(PurePosixPath(name).stem) for name in names)
        if counts and counts.most_common(1)[0][1] > MAJORITY * len(names):
            return shape
    return None


def unusual_names(names: Sequence[str]) -> set[str]:
    """Name the files outside the pattern of most names: by shape, suffix or number.

    Args:
        names: Names in a collection, with forward slashes.
    """
    shape = shape_of(names)
    if shape is None:
        return set()
    patterns = {name: _pattern(name, shape) for name in names}
    pattern, count = Counter(patterns.values()).most_common(1)[0]
    if count <= MAJORITY * len(names):
        return set()
    usual = [name for name in names if patterns[name] == pattern]
    low, high = _row([_number(name, shape) for name in usual])
    unusual = set(names) - set(usual)
    return unusual | {name for name in usual if not low <= _number(name, shape) <= high}


def foreign_names(names: Iterable[str], originals: Sequence[str]) -> dict[str, str]:
    """Describe the names that do not fit the originals' names.

    Args:
        names: Names to check.
        originals: Names of the originals.

    Returns:
        What is wrong with each such name.
    """
    shape = shape_of(originals)
    if shape is None:
        return {}
    names = list(names)
    counts = Counter(_pattern(name, shape) for name in originals)
    pattern = counts.most_common(1)[0][0]
    least = max(1, COMMON * len(originals))
    usual = [name for name in originals if _pattern(name, shape) == pattern]
    low, high = _row([_number(name, shape) for name in usual])
    faults = {}
    for name in names:
        own = _pattern(name, shape)
        if counts[own] < least:
            faults[name] = f"{counts[own]} of {len(originals)} originals have its pattern {own!r}"
        elif own == pattern and not low <= _number(name, shape) <= high + len(names):
            faults[name] = f"the originals' numbers end at {high:.0f}"
    return faults


def _pattern(name: str, shape: Shape) -> str:
    path = PurePosixPath(name)
    return shape(path.stem) + path.suffix


def _number(name: str, shape: Shape) -> float:
    """Return the last run of digits of a name; 0 without one, or if digits stand for letters."""
    if shape in (_any_character, _any_length):
        return 0.0
    digits = re.findall(r"\d+", PurePosixPath(name).stem)
    return float(digits[-1]) if digits else 0.0


def _row(numbers: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the longest row of numbers without a wide gap.

    Numbers without such a row of most of them are unbounded.
    """
    ordered = sorted(set(numbers))
    gaps = [after - before for before, after in pairwise(ordered)]
    if not gaps:
        return (float("-inf"), float("inf"))
    widest = WIDE_GAP * max(1.0, sorted(gaps)[len(gaps) // 2])
    rows = [[ordered[0]]]
    for number, gap in zip(ordered[1:], gaps, strict=True):
        if gap > widest:
            rows.append([])
        rows[-1].append(number)
    longest = max(rows, key=len)
    if len(longest) <= MAJORITY * len(ordered):
        return (float("-inf"), float("inf"))
    return longest[0], longest[-1]
