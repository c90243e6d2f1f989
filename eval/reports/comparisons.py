"""Paired comparisons of arms over people, their intervals, and what so many people can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.pages.shell import MISSING
from engine.statistics import Interval, PairedDifference, holm, least_people, paired_difference

Values = NDArray[np.float64]

LEVEL = 0.05
"""Level that pages speak of."""

HEAD = ["difference", "mean", "95 % interval", "people", "p", "least p", "Holm's p"]


@dataclass(frozen=True)
class Comparison:
    """Arm ``a`` minus arm ``b`` over people, and its p after Holm over all comparisons of the page."""

    a: str
    b: str
    difference: PairedDifference
    adjusted: float
    metric: str = "ISM"

    @property
    def cells(self) -> list[str]:
        """A row of a table that is headed by :data:`HEAD`."""
        found = self.difference
        return [
            f"{self.a} - {self.b}",
            f"{found.mean:+.3f}",
            span(found.interval, signed=True) or MISSING,
            str(found.n),
            f"{found.p:.4f}",
            f"{found.least_p:.4f}",
            f"{self.adjusted:.4f}",
        ]

    @property
    def words(self) -> str:
        """The comparison in one line."""
        found = self.difference
        interval = f"95 % CI [{span(found.interval, signed=True)}]" if found.interval else "no CI"
        return (
            f"{self.a} - {self.b}: {self.metric} {found.mean:+.3f}, {interval}, {found.n} people, p = {found.p:.4f} "
            f"(least possible {found.least_p:.4f}), after Holm {self.adjusted:.4f}"
        )


def identity_score(ism_all: Sequence[float | None]) -> Values:
    """ISM of each person with images without a face counted as 0, and no less than 0; NaN where it is not known.

    A wrong face scores below 0, so an arm that draws other people would otherwise rank above one that draws nobody.
    """
    values = np.array([np.nan if value is None else value for value in ism_all], dtype=np.float64)
    return np.where(values < 0, 0.0, values)


def compare(
    values: Mapping[str, Values], baseline: str = "clean", metric: str = "ISM"
) -> list[Comparison]:
    """Compare every arm with the baseline, and RID with noise, paired over the people who have both values.

    Args:
        values: By arm, a value for each person, (n,); NaN where there is none.
        baseline: Arm that the others are compared with.
        metric: Name of the values.
    """
    pairs = [(arm, baseline) for arm in values if arm != baseline and baseline in values]
    pairs += [("rid", "noise")] if {"rid", "noise"} <= set(values) else []
    found = {}
    for a, b in pairs:
        both = np.isfinite(values[a]) & np.isfinite(values[b])
        if both.any():
            found[a, b] = paired_difference(values[a][both], values[b][both])
    adjusted = holm([difference.p for difference in found.values()])
    return [
        Comparison(*pair, difference, p, metric)
        for (pair, difference), p in zip(found.items(), adjusted, strict=True)
    ]


def reach(people: int, comparisons: int) -> str:
    """What so many people cannot show, in a sentence; empty if the level is within reach of every comparison."""
    if not comparisons or people >= (all_of := least_people(LEVEL, comparisons)):
        return ""
    alone = least_people(LEVEL)
    holms = f"{all_of} after Holm over {comparisons} comparisons"
    if people < alone:
        return (
            f"{count(people)} cannot reach p <= {LEVEL:g}: it takes at least {alone}, and {holms}"
        )
    return f"{count(people)} can reach p <= {LEVEL:g} in one comparison only: it takes {holms}"


def count(people: int) -> str:
    """So many people, in words."""
    return f"{people} {'person' if people == 1 else 'people'}"


def span(interval: Interval | None, digits: int = 3, *, signed: bool = False) -> str:
    """An interval in words; empty without one."""
    if interval is None:
        return ""
    form = f"{{:{'+' if signed else ''}.{digits}f}}"
    return f"{form.format(interval.low)} to {form.format(interval.high)}"
