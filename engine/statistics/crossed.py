"""Intervals and tests of answers that cluster in two ways, such as by person and by image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.statistics.bootstrap import Interval, Values, bootstrap_interval
from engine.statistics.shares import beta_interval


def crossed_table(
    people: Sequence[object] | NDArray[Any],
    images: Sequence[object] | NDArray[Any],
    values: Sequence[float] | NDArray[Any],
) -> Values:
    """Sums of values by person and image, (P, I).

    Args:
        people: Name of each answer's person, (n,).
        images: Name of each answer's image, (n,).
        values: What is summed, (n,); ones count the answers.
    """
    rows = np.unique(np.asarray(people), return_inverse=True)[1]
    columns = np.unique(np.asarray(images), return_inverse=True)[1]
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), np.asarray(values, dtype=np.float64))
    return table


def crossed_interval(
    statistic: Callable[[Values], Values],
    tables: Values,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval | None:
    """Two-way cluster bootstrap: people and images are resampled at once (Owen 2007).

    Unit: a person and an image. Use it, too, for images by edits, where edits are drawn from a
    population of edits.
    Assumes: people are independent of each other, and so are images.
    Fails: too wide, up to 1.7 times, where neither people nor images differ. Too narrow below about
    ten of either.

    Args:
        statistic: Takes sums of each table over resampled people and images, (k, resamples); NaN
            where undefined.
        tables: (k, P, I) sums by person and image; see :func:`crossed_table`.
        resamples: How many, at least 40.
        seed: Of the draws.
        confidence: Between 0 and 1.

    Returns:
        The interval. None for one person or one image, or without any spread.
    """
    _, people, images = tables.shape

    def resampled(rows: NDArray[np.int64], columns: NDArray[np.int64], axis: int = -1) -> Values:
        """Statistic of resamples, (resamples,); scipy asks for one unresampled value, too."""
        by_person = _counts(np.atleast_2d(rows), people)
        by_image = _counts(np.atleast_2d(columns), images)
        totals = np.einsum("kri,ri->kr", by_person @ tables, by_image)
        with np.errstate(invalid="ignore", divide="ignore"):
            values = statistic(totals)
        return values if rows.ndim > 1 else values[0]

    return bootstrap_interval(
        resampled, people, images, resamples=resamples, seed=seed, confidence=confidence
    )


def _counts(drawn: NDArray[np.int64], size: int) -> Values:
    """How often each unit was drawn, (resamples, size)."""
    places = drawn + size * np.arange(len(drawn))[:, None]
    return np.bincount(places.ravel(), minlength=size * len(drawn)).reshape(-1, size).astype(float)


def crossed_share_interval(
    counted: Values, of: Values, resamples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> Interval | None:
    """Interval of a share of answers, over people and images at once; see :func:`crossed_interval`.

    Unit: a person and an image. Where all answers are alike, the bound is Clopper and Pearson's
    over the people or the images, whichever are fewer, on "any failure".
    Assumes: as :func:`crossed_interval`.
    Fails: as :func:`crossed_interval`.

    Args:
        counted: (P, I) answers that count.
        of: (P, I) answers among which they count.
        resamples: How many.
        seed: Of the draws.
        confidence: Between 0 and 1.

    Returns:
        Bounds from 0 to 1. None for fewer than two people or images, or of no answers.
    """
    asked = of > 0
    units = min(int(asked.any(axis=1).sum()), int(asked.any(axis=0).sum()))
    if units < 2:
        return None
    share = float(counted.sum() / of.sum())
    if share in (0.0, 1.0):
        return beta_interval(share, units, confidence)
    rows, columns = asked.any(axis=1), asked.any(axis=0)
    tables = np.stack([counted, of])[:, rows][:, :, columns]
    return crossed_interval(
        lambda totals: totals[0] / totals[1], tables, resamples, seed, confidence
    )


@dataclass(frozen=True)
class CrossedTest:
    """Estimate over answers, its interval, two-sided p, and over how many people and images."""

    estimate: float
    interval: Interval | None
    p: float | None
    people: int
    images: int


def crossed_test(
    total: Values, count: Values, null: float, confidence: float = 0.95
) -> CrossedTest:
    """Test the mean of answers against a value, with variances of people and images added.

    Unit: a person and an image. The variance is the two-way cluster-robust one (Cameron, Gelbach
    and Miller 2011): that between people plus that between images minus that between answers, but
    no less than the larger of the first two.
    Assumes: Student's t with as many degrees of freedom as the fewer of people and images, less
    one.
    Fails: with fewer than about ten of either it is rough. If all answers are alike, there is no
    interval, and p is that of a sign-flip test over the fewer of them.

    Args:
        total: (P, I) sums of answers by person and image.
        count: (P, I) numbers of answers.
        null: Mean under the null hypothesis.
        confidence: Between 0 and 1.

    Returns:
        The test; interval and p are None for one person or one image.
    """
    mean = float(total.sum() / count.sum())
    influence = (total - mean * count) / count.sum()
    return _tested(mean, influence, count, null, confidence)


def crossed_difference(
    a: tuple[Values, Values], b: tuple[Values, Values], confidence: float = 0.95
) -> CrossedTest:
    """Compare the means of two kinds of answers by the same people about the same items; see :func:`crossed_test`.

    Unit: a person and an item, such as a photograph of which both kinds show a version.
    Assumes: as :func:`crossed_test`.
    Fails: as :func:`crossed_test`.

    Args:
        a: Sums and numbers of answers of the first kind, (P, I) each.
        b: Of the second kind.
        confidence: Between 0 and 1.
    """
    means = [float(total.sum() / count.sum()) for total, count in (a, b)]
    first, second = (
        (total - mean * count) / count.sum()
        for (total, count), mean in zip((a, b), means, strict=True)
    )
    return _tested(means[0] - means[1], first - second, a[1] + b[1], 0.0, confidence)


def _tested(
    estimate: float, influence: Values, count: Values, null: float, confidence: float
) -> CrossedTest:
    """Student's t from each person's and image's influence on an estimate, (P, I)."""
    from scipy.stats import t

    people, images = int(count.any(axis=1).sum()), int(count.any(axis=0).sum())
    units = min(people, images)
    if units < 2:
        return CrossedTest(estimate, None, None, people, images)
    by_person = (influence.sum(axis=1) ** 2).sum() * people / (people - 1)
    by_image = (influence.sum(axis=0) ** 2).sum() * images / (images - 1)
    variance = max(by_person + by_image - (influence**2).sum(), by_person, by_image)
    if variance < 1e-15:
        p = 1.0 if abs(estimate - null) < 1e-12 else 2 / 2**units
        return CrossedTest(estimate, None, p, people, images)
    error = float(np.sqrt(variance))
    p = 2 * float(t.sf(abs(estimate - null) / error, units - 1))
    half = float(t.ppf((1 + confidence) / 2, units - 1)) * error
    return CrossedTest(estimate, Interval(estimate - half, estimate + half), p, people, images)
