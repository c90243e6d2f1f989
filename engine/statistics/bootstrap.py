"""Bootstrap intervals over independent units."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

MAX_BATCH_VALUES = 10_000_000
"""Numbers that one batch of resamples or permutations holds in memory."""


class Interval(NamedTuple):
    """Lower and upper bound."""

    low: float
    high: float


def clip_interval(
    low: float, high: float, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> Interval | None:
    """Clip an interval to a range.

    Args:
        low: Lower bound.
        high: Upper bound.
        bounds: Range of the quantity.

    Returns:
        The interval, or None if it has no width.
    """
    low = max(float(low), bounds[0])
    high = min(float(high), bounds[1])
    return Interval(low, high) if high > low else None


def bootstrap_interval(
    statistic: Callable[..., Any], *sizes: int, resamples: int, seed: int, confidence: float = 0.95
) -> Interval | None:
    """Compute an expanded percentile bootstrap interval (Hesterberg 2015).

    The tails are Student's t of the smallest sample, because plain percentiles are too narrow for
    few units.

    Unit: one row. Rows that depend on each other must be resampled together; see :func:`clusters`.
    Assumes: units are independent draws from their population.
    Fails: below about 10 units, and near the end of a scale, such as an AUC close to 1.

    Args:
        statistic: Function of row indices, one array (rows,) for each sample. If it has a parameter
            ``axis``, it also takes (resamples, rows). It returns NaN where it is undefined; these
            resamples are dropped.
        sizes: Number of rows of each sample. Samples are resampled independently.
        resamples: Number of resamples: at least 40 for 95 %, or 0 for no interval.
        seed: Seed of the resampling. Equal sizes, seeds and resamples give equal row indices.
        confidence: Confidence level, between 0 and 1.

    Returns:
        The interval, or None if a sample has fewer than two rows or all resamples agree.
    """
    if resamples == 0 or min(sizes) < 2:
        return None
    from scipy.stats import DegenerateDataWarning, bootstrap

    with warnings.catch_warnings():
        # scipy warns about its BCa interval, which is not used.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        result = bootstrap(
            [np.arange(size) for size in sizes],
            statistic,
            n_resamples=resamples,
            batch=max(1, MAX_BATCH_VALUES // sum(sizes)),
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    values = result.bootstrap_distribution
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None
    tail = expanded_tail(min(sizes), confidence)
    return clip_interval(*np.quantile(defined, (tail, 1 - tail)))


def expanded_tail(units: int, confidence: float) -> float:
    """Return the normal tail probability that matches Student's t of ``units`` units."""
    from scipy.special import ndtr
    from scipy.stats import t

    quantile = t.ppf((1 - confidence) / 2, units - 1) * np.sqrt(units / (units - 1))
    return float(ndtr(quantile))
