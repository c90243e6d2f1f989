"""Intervals of proportions and of means of shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.statistics.bootstrap import Interval, Values


def proportion_interval(
    count: int, total: int, method: Literal["exact", "wilson"] = "exact", confidence: float = 0.95
) -> Interval:
    """Compute the exact (Clopper-Pearson) or Wilson interval of a proportion.

    Unit: one trial.
    Assumes: independent trials with equal probability.
    Fails: far too narrow for clustered trials, such as many answers by one person or about one
    image.

    Args:
        count: Number of successes.
        total: Number of trials; for 0 the interval is [0, 1].
        method: ``exact`` covers at least ``confidence``; ``wilson`` covers it on average and is
            narrower.
        confidence: Confidence level, between 0 and 1.
    """
    from scipy.stats import binomtest

    if total == 0:
        return Interval(0.0, 1.0)
    bounds = binomtest(count, total).proportion_ci(confidence, method=method)
    return Interval(float(bounds.low), float(bounds.high))


def share_interval(
    values: Values, sizes: NDArray[np.int64] | None = None, confidence: float = 0.95
) -> Interval | None:
    """Compute the interval of a mean of shares (Korn and Graubard 1998).

    It is the Clopper-Pearson interval of the effective number of trials, at which a proportion has
    the variance measured between units. Units count as one trial each if their shares do not vary,
    or if all shares are 0 or 1 with equal weights, where the interval is exact.

    Unit: one share, such as a person's share of images without a face, or a key's share of hits.
    Assumes: independent units, weighted by ``sizes`` or equally.
    Fails: too narrow with fewer than about ten units if failures are rare and concentrated in a few
    units.

    Args:
        values: (n,) shares in [0, 1].
        sizes: (n,) number of trials of each share, its weight; equal if None.
        confidence: Confidence level, between 0 and 1.

    Returns:
        Bounds in [0, 1], or None for fewer than two units.

    Raises:
        ValueError: If a value is outside [0, 1] or not finite.
    """
    from scipy.stats import norm, t

    values = np.asarray(values, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        msg = f"shares must be from 0 to 1, got {values}"
        raise ValueError(msg)
    count = len(values)
    if count < 2:
        return None
    weights = np.full(count, 1 / count) if sizes is None else sizes / sizes.sum()
    mean = min(1.0, float((weights * values).sum()))
    variance = float(((weights * (values - mean)) ** 2).sum()) * count / (count - 1)
    # One trial for each unit.
    all_or_nothing = np.isin(values, (0, 1)).all() and np.ptp(weights) < 1e-12
    if all_or_nothing or mean in (0.0, 1.0) or variance < 1e-12:
        return beta_interval(mean, count, confidence)
    # Effective number of trials, reduced because the variance is estimated from few units.
    tail = (1 + confidence) / 2
    reduction = (norm.ppf(tail) / t.ppf(tail, count - 1)) ** 2
    trials = mean * (1 - mean) / variance * reduction
    return beta_interval(mean, trials, confidence)


def beta_interval(share: float, trials: float, confidence: float) -> Interval:
    """Compute the Clopper-Pearson interval of a real number of trials.

    Args:
        share: Share of successes, in [0, 1].
        trials: Number of trials, above 0.
        confidence: Confidence level, between 0 and 1.
    """
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    hits = share * trials
    misses = trials - hits
    low = 0.0 if hits <= 0 else float(beta.ppf(tail, hits, misses + 1))
    high = 1.0 if misses <= 0 else float(beta.ppf(1 - tail, hits + 1, misses))
    return Interval(low, high)


def average_of_shares(
    shares: Sequence[float], intervals: Sequence[Interval | None]
) -> Interval | None:
    """Compute the interval of a mean of independent shares (Newcombe 1998).

    Balanced accuracy is such a mean. The bounds are combined by square-and-add.

    Unit: that of the intervals, such as the images of one class.
    Assumes: no unit belongs to two shares.
    Fails: too wide if units of different shares are related, such as an image and its
    reconstruction that are both classified correctly.

    Args:
        shares: (k,) shares in [0, 1].
        intervals: Interval of each share.

    Returns:
        Bounds in [0, 1], or None if an interval is None.
    """
    defined = [interval for interval in intervals if interval is not None]
    if len(defined) < len(shares):
        return None
    values = np.asarray(shares, dtype=np.float64)
    bounds = np.asarray(defined)
    below = np.sqrt(((values - bounds[:, 0]) ** 2).sum())
    above = np.sqrt(((values - bounds[:, 1]) ** 2).sum())
    mean = values.mean()
    count = len(values)
    return Interval(max(0.0, float(mean - below / count)), min(1.0, float(mean + above / count)))
