"""Tell of the files: another way of encoding than the collection's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

MAJORITY = 2 / 3
"""Share of the files from which the commonest value of a trait is taken for the rule."""

Traits = Mapping[str, str]
"""Traits of a file; see :func:`images.traits.file_traits`."""


def differing_traits(sentinel: Traits, source: Traits) -> list[str]:
    """Describe each trait in which a sentinel differs from its source."""
    differences = []
    for name in sorted({*sentinel, *source}):
        one = sentinel.get(name, "none")
        other = source.get(name, "none")
        if one != other:
            differences.append(f"{name} {one} where the source has {other}")
    return differences


def unusual_files(traits: Mapping[str, Traits]) -> set[str]:
    """Name the files that break a rule which at least two thirds of all files follow.

    Args:
        traits: Traits of each file of a collection, by name.
    """
    unusual: set[str] = set()
    for trait in sorted({name for one in traits.values() for name in one}):
        values = {name: one.get(trait, "none") for name, one in traits.items()}
        common, count = Counter(values.values()).most_common(1)[0]
        if count >= MAJORITY * len(values):
            unusual |= {name for name, value in values.items() if value != common}
    return unusual
