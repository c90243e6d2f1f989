"""Intervals and tests of every report, over scipy: bootstrap, permutation, proportions, paired differences.

scipy is imported where it runs, since it takes long to load.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import factorial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

ENUMERATED = 9
"""Pairs up to which a pairing test goes through all pairings."""

BATCH = 10_000_000
"""Numbers that are resampled or permuted at a time."""


class Interval(NamedTuple):
    """Bounds of an interval."""

    low: float
    high: float


def bootstrap_interval(
    statistic: Callable[..., Any], *sizes: int, resamples: int, seed: int, confidence: float = 0.95
) -> Interval | None:
    """Percentile bootstrap interval of a statistic.

    Unit: what a row number stands for. Rows that depend on each other must be resampled together; see :func:`clusters`.
    Assumes: units are independent draws from the population that is spoken of.
    Fails: too narrow below about 20 units and near the end of a scale, such as an AUC close to 1.

    Args:
        statistic: Takes an array of row numbers for each sample, (rows,); with a parameter ``axis`` also (resamples, rows).
            NaN where it is undefined; such resamples are left out.
        sizes: Number of rows of each sample. Several samples are resampled independently.
        resamples: How many; at least 40 for 95 %, 0 for no interval.
        seed: Of the draws. Statistics with the same sizes, seed and resamples see the same draws.
        confidence: Between 0 and 1.

    Returns:
        The interval; None if a sample has fewer than two rows, or all resamples are undefined.
    """
    if resamples == 0 or min(sizes) < 2:
        return None
    from scipy.stats import DegenerateDataWarning, bootstrap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # speaks of another kind of interval
        result = bootstrap(
            [np.arange(size) for size in sizes],
            statistic,
            n_resamples=resamples,
            batch=max(1, BATCH // sum(sizes)),
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    drawn = result.bootstrap_distribution
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, (tail, 1 - tail))
    return Interval(float(low), float(high))


def clusters(names: NDArray[np.str_]) -> list[NDArray[np.int64]]:
    """Row numbers of each distinct name, the units of a cluster bootstrap."""
    order = np.argsort(names, kind="stable")
    _, starts = np.unique(names[order], return_index=True)
    return np.split(order, starts[1:])


def proportion_interval(
    count: int, total: int, method: Literal["exact", "wilson"] = "exact", confidence: float = 0.95
) -> Interval:
    """Interval of a proportion: Clopper and Pearson's (exact) or Wilson's.

    Unit: one trial.
    Assumes: independent trials with one probability.
    Fails: far too narrow where trials cluster, such as many answers by one person or about one image.

    Args:
        count: Successes.
        total: Trials; of none, the interval is 0 to 1.
        method: ``exact`` never covers less than ``confidence``; ``wilson`` covers it on average and is narrower.
        confidence: Between 0 and 1.
    """
    from scipy.stats import binomtest

    if total == 0:
        return Interval(0.0, 1.0)
    found = binomtest(count, total).proportion_ci(confidence, method=method)
    return Interval(float(found.low), float(found.high))


@dataclass(frozen=True)
class PairingTest:
    """P-value of a pairing, over how many pairings it was computed, and whether these were all there are."""

    p: float
    pairings: int
    exact: bool


def pairing_test(similarity: Values, seed: int, draws: int = 99_999) -> PairingTest:
    """One-sided permutation test that each row is more similar to its own column than chance would have it.

    Unit: one row with its column.
    Assumes: without a link, every pairing of rows with columns was equally likely.
    Fails: if rows and columns are alike for another reason than the link in question.

    Args:
        similarity: (n, n) in [-1, 1]; own pairs on the diagonal.
        seed: Of the drawn pairings.
        draws: How many pairings are drawn above :data:`ENUMERATED` rows; below, all are gone through.
    """
    from scipy.stats import permutation_test

    count = len(similarity)
    rows = np.arange(count)
    exact = count <= ENUMERATED

    def mean(columns: NDArray[np.int64], axis: int = -1) -> Values:
        return 1 + similarity[rows, columns].mean(
            axis=axis
        )  # away from 0, as scipy's tolerance for ties is relative

    found = permutation_test(
        (rows,),
        mean,
        permutation_type="pairings",
        alternative="greater",
        n_resamples=factorial(count) if exact else draws,
        batch=max(1, BATCH // count),
        rng=np.random.default_rng(seed),
    )
    return PairingTest(float(found.pvalue), factorial(count) if exact else draws, exact)


@dataclass(frozen=True)
class PairedDifference:
    """Mean of ``a - b`` over pairs, its 95 % interval, and a p-value."""

    mean: float
    low: float
    high: float
    p: float


def half_width(values: Values) -> float:
    """Half of the 95 % interval of a mean, Student's t; NaN for one value.

    Unit: one value.
    Assumes: independent values, nearly normal or many.
    Fails: equal values give 0, and the interval may leave the scale, as that of a share near 0 or 1.
    """
    from scipy.stats import sem, t

    return float(t.ppf(0.975, len(values) - 1) * sem(values)) if len(values) > 1 else float("nan")


def paired_difference(a: Values, b: Values) -> PairedDifference:
    """Compare two measurements of the same units, both of shape (n,).

    Unit: one pair, such as a person under two conditions.
    Assumes: independent pairs. The interval is Student's t; ``p`` is of a two-sided sign-flip permutation test, exact up to 13 pairs,
    which assumes that the difference is as likely to be positive as negative.
    Fails: ``p`` cannot be below 2 / 2^n, so that five pairs never reach 0.05; one pair has an unbounded interval and p = 1.

    Raises:
        ValueError: If the shapes differ, there are no pairs, or a value is not finite.
    """
    from scipy.stats import permutation_test

    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    if difference.ndim != 1 or len(difference) == 0 or not np.isfinite(difference).all():
        msg = f"a paired comparison needs finite values of the same units, got {difference}"
        raise ValueError(msg)
    mean = float(difference.mean())
    if len(difference) == 1:
        return PairedDifference(mean, -np.inf, np.inf, 1.0)
    half = half_width(difference)
    test = permutation_test(
        (difference,),
        np.mean,
        permutation_type="samples",
        n_resamples=9999,
        rng=np.random.default_rng(0),
    )
    return PairedDifference(mean, mean - half, mean + half, float(test.pvalue))
