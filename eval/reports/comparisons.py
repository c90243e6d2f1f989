"""Paired comparisons of arms over people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.pages.shell import MISSING
from engine.statistics import Interval, PairedDifference, holm, least_people, paired_difference

Values = NDArray[np.float64]

LEVEL = 0.05
"""Significance level of the pages."""

SHARES = (-1.0, 1.0)
"""Range of a difference of values from 0 to 1, as ISM (at least 0) and FDFR are."""

HEAD = ["difference", "mean", "95 % interval", "people", "p", "least p", "Holm's p"]


@dataclass(frozen=True)
class Comparison:
    """Paired comparison of two arms over people.

    Attributes:
        a: Name of an arm.
        b: Name of the arm that is subtracted.
        difference: Difference ``a`` minus ``b`` over people.
        adjusted: p-value after Holm over all comparisons of the page.
        metric: Name of the compared values.
    """

    a: str
    b: str
    difference: PairedDifference
    adjusted: float
    metric: str = "ISM"

    @property
    def cells(self) -> list[str]:
        """Cells of a table row, with the columns :data:`HEAD`."""
        difference = self.difference
        return [
            f"{self.a} - {self.b}",
            f"{difference.mean:+.3f}",
            span(difference.interval, signed=True) or MISSING,
            str(difference.n),
            f"{difference.p:.4f}",
            f"{difference.least_p:.4f}",
            f"{self.adjusted:.4f}",
        ]

    @property
    def words(self) -> str:
        """Comparison in one line of text."""
        difference = self.difference
        interval = "no CI"
        if difference.interval:
            interval = f"95 % CI [{span(difference.interval, signed=True)}]"
        return (
            f"{self.a} - {self.b}: {self.metric} {difference.mean:+.3f}, {interval}, "
            f"{difference.n} people, p = {difference.p:.4f} "
            f"(least possible {difference.least_p:.4f}), after Holm {self.adjusted:.4f}"
        )


def identity_score(ism_all: Sequence[float | None]) -> Values:
    """ISM of each person, at least 0; NaN if unknown.

    Images without a face count as 0. A wrong face scores below 0, so without the bound an arm with
    other people's faces would rank above an arm without faces.
    """
    values = np.array([np.nan if value is None else value for value in ism_all], dtype=np.float64)
    return np.where(values < 0, 0.0, values)


def compare(
    values: Mapping[str, Values],
    baseline: str = "clean",
    metric: str = "ISM",
    bounds: tuple[float, float] = SHARES,
) -> list[Comparison]:
    """Compare every arm with the baseline, and RID with noise.

    The comparisons are paired over the people with values in both arms.

    Args:
        values: Values of all persons by arm, (n,) each; NaN for a missing value.
        baseline: Arm that the others are compared with.
        metric: Name of the values.
        bounds: Range of possible differences.
    """
    pairs = [(arm, baseline) for arm in values if arm != baseline and baseline in values]
    pairs += [("rid", "noise")] if {"rid", "noise"} <= set(values) else []
    differences = {}
    for a, b in pairs:
        known = np.isfinite(values[a]) & np.isfinite(values[b])
        if known.any():
            differences[a, b] = paired_difference(values[a][known], values[b][known], bounds)
    adjusted = holm([difference.p for difference in differences.values()])
    comparisons = []
    for ((a, b), difference), p in zip(differences.items(), adjusted, strict=True):
        comparisons.append(Comparison(a, b, difference, p, metric))
    return comparisons


def reach(people: int, comparisons: int) -> str:
    """Explain that so few people cannot reach the level.

    The text is empty if every comparison can reach it.
    """
    if not comparisons:
        return ""
    all_of = least_people(LEVEL, comparisons)
    if people >= all_of:
        return ""
    alone = least_people(LEVEL)
    holms = f"{all_of} after Holm over {comparisons} comparisons"
    if people < alone:
        return (
            f"{count(people)} cannot reach p <= {LEVEL:g}: it takes at least {alone}, and {holms}"
        )
    return f"{count(people)} can reach p <= {LEVEL:g} in one comparison only: it takes {holms}"


def count(people: int) -> str:
    """Format a number of people."""
    return f"{people} {'person' if people == 1 else 'people'}"


def span(interval: Interval | None, digits: int = 3, *, signed: bool = False) -> str:
    """Format an interval.

    Args:
        interval: The interval; None gives an empty text.
        digits: Digits after the decimal point.
        signed: Write the sign of positive bounds.
    """
    if interval is None:
        return ""
    form = f"{{:{'+' if signed else ''}.{digits}f}}"
    return f"{form.format(interval.low)} to {form.format(interval.high)}"
