"""Bootstrap intervals over independent units."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

BATCH = 10_000_000
"""Numbers that are resampled or permuted at a time."""


class Interval(NamedTuple):
    """Bounds of an interval."""

    low: float
    high: float


def within(
    low: float, high: float, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> Interval | None:
    """Clip an interval to the quantity's range; None if it has no width."""
    low, high = max(float(low), bounds[0]), min(float(high), bounds[1])
    return Interval(low, high) if high > low else None


def bootstrap_interval(
    statistic: Callable[..., Any], *sizes: int, resamples: int, seed: int, confidence: float = 0.95
) -> Interval | None:
    """Expanded percentile bootstrap interval of a statistic.

    Unit: what a row number stands for. Rows that depend on each other are resampled together; see
    :func:`clusters`.
    Assumes: units are independent draws from the population that is spoken of. The tails are those
    of Student's t for the smallest sample (Hesterberg 2015), since plain percentiles are too narrow
    for few units.
    Fails: below about 10 units, and near the end of a scale, such as an AUC close to 1.

    Args:
        statistic: Takes an array of row numbers for each sample, (rows,); with a parameter ``axis``
            also (resamples, rows). NaN where it is undefined; such resamples are left out.
        sizes: Number of rows of each sample. Several samples are resampled independently.
        resamples: How many; at least 40 for 95 %, 0 for no interval.
        seed: Of the draws. Statistics with the same sizes, seed and resamples see the same draws.
        confidence: Between 0 and 1.

    Returns:
        The interval. None if a sample has fewer than two rows, or no two resamples differ.
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
    tail = expanded_tail(min(sizes), confidence)
    return within(*np.quantile(defined, (tail, 1 - tail)))


def expanded_tail(units: int, confidence: float) -> float:
    """Tail probability whose normal quantile is Student's t of so many units."""
    from scipy.special import ndtr
    from scipy.stats import t

    quantile = t.ppf((1 - confidence) / 2, units - 1) * np.sqrt(units / (units - 1))
    return float(ndtr(quantile))


def clusters(names: NDArray[np.str_]) -> list[NDArray[np.int64]]:
    """Row numbers of each distinct name, the units of a cluster bootstrap."""
    order = np.argsort(names, kind="stable")
    _, starts = np.unique(names[order], return_index=True)
    return np.split(order, starts[1:])
