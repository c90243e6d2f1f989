"""Intervals of shares: of independent trials, and of units that each hold many trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.statistics.bootstrap import Interval, Values


def proportion_interval(
    count: int, total: int, method: Literal["exact", "wilson"] = "exact", confidence: float = 0.95
) -> Interval:
    """Interval of a proportion: Clopper and Pearson's (exact) or Wilson's.

    Unit: one trial.
    Assumes: independent trials with one probability.
    Fails: far too narrow where trials cluster, such as many answers by one person or about one
    image.

    Args:
        count: Successes.
        total: Trials; of none, the interval is 0 to 1.
        method: ``exact`` never covers less than ``confidence``; ``wilson`` covers it on average and
            is narrower.
        confidence: Between 0 and 1.
    """
    from scipy.stats import binomtest

    if total == 0:
        return Interval(0.0, 1.0)
    found = binomtest(count, total).proportion_ci(confidence, method=method)
    return Interval(float(found.low), float(found.high))


def share_interval(
    values: Values, sizes: NDArray[np.int64] | None = None, confidence: float = 0.95
) -> Interval | None:
    """Interval of the mean of units' shares, after Korn and Graubard (1998).

    Unit: one value, such as a person's share of images without a face, or a key's share of hits.
    Assumes: independent units, weighted by ``sizes`` or equally. The interval is Clopper and
    Pearson's for as many trials as have the variance that was seen between units. It is exact over
    units that are all or nothing, and they count as one trial each where no variance was seen.
    Fails: too narrow with fewer than about ten units if failures are rare and all in a few of them.

    Args:
        values: (n,), each from 0 to 1.
        sizes: (n,) numbers of trials that the units' shares are of, by which they are weighted;
            equal if None.
        confidence: Between 0 and 1.

    Returns:
        Bounds from 0 to 1. None for fewer than two units.

    Raises:
        ValueError: If a value is outside [0, 1] or not finite.
    """
    from scipy.stats import norm, t

    values = np.asarray(values, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        msg = f"shares are from 0 to 1, got {values}"
        raise ValueError(msg)
    count = len(values)
    if count < 2:
        return None
    weights = np.full(count, 1 / count) if sizes is None else sizes / sizes.sum()
    mean = min(1.0, float((weights * values).sum()))
    variance = float(((weights * (values - mean)) ** 2).sum()) * count / (count - 1)
    whole = np.isin(values, (0, 1)).all() and np.ptp(weights) < 1e-12
    if whole or mean in (0.0, 1.0) or variance < 1e-12:
        return beta_interval(mean, count, confidence)
    tail = (1 + confidence) / 2
    fewer = (norm.ppf(tail) / t.ppf(tail, count - 1)) ** 2
    return beta_interval(mean, mean * (1 - mean) / variance * fewer, confidence)


def beta_interval(share: float, trials: float, confidence: float) -> Interval:
    """Clopper and Pearson's interval for a number of trials that need not be whole."""
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
    """Interval of the mean of independent shares, by square and add (Newcombe 1998).

    Unit: that of the intervals, such as the images of one class.
    Assumes: the shares are of different units; it is used for balanced accuracy.
    Fails: conservative if units of the shares are alike, as an image and its reconstruction that
    are both called right.

    Args:
        shares: (k,), each from 0 to 1.
        intervals: Of each of them; None gives None.
    """
    known = [interval for interval in intervals if interval is not None]
    if len(known) < len(shares):
        return None
    values, bounds = np.asarray(shares, dtype=np.float64), np.asarray(known)
    below, above = (np.sqrt(((values - bounds[:, side]) ** 2).sum()) for side in (0, 1))
    mean, count = values.mean(), len(values)
    return Interval(max(0.0, float(mean - below / count)), min(1.0, float(mean + above / count)))
