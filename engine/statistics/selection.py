"""Selection correction for the lowest of many estimates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.statistics.bootstrap import Interval, Values


@dataclass(frozen=True)
class Worst:
    """Lowest of several estimates, corrected for its selection.

    Attributes:
        place: Index of the lowest estimate.
        value: Mean of the lowest estimates as measured, which is biased downwards.
        corrected: Value without the bootstrap estimate of that bias, at most the mean of all.
        interval: Interval of the true value; None if one of the estimates has no interval.
        selected: Share of resamples in which the same estimate is the lowest.
        of: Number of estimates.
    """

    place: int
    value: float
    corrected: float
    interval: Interval | None
    selected: float
    of: int


def worst_of(
    values: Values, resampled: Values, intervals: list[Interval | None], few: int = 1
) -> Worst:
    """Correct the mean of the lowest values for their selection.

    The correction is a bootstrap that repeats the selection in each resample. The interval averages
    the lowest bounds of simultaneous intervals, so it holds for any true values.

    Unit: that of the resamples, such as an image.
    Assumes: the intervals are simultaneous, each at 1 - 0.05 / k; see :func:`simultaneous`.
    Fails: if all true values are equal, a part of the bias remains. The interval is wide.

    Args:
        values: (k,) estimates.
        resampled: (resamples, k) estimates from resampled units; NaN where undefined.
        intervals: Simultaneous interval of each estimate.
        few: Number of lowest values to average.
    """
    values = np.asarray(values, dtype=np.float64)
    lowest = mean_of_lowest(values, few)
    usable = resampled[np.isfinite(resampled).all(axis=1)]
    place = int(np.argmin(values))
    corrected = lowest
    selected = 1.0
    # Repeat the selection in each resample.
    if len(usable):
        again = np.sort(usable, axis=1)[:, :few].mean(axis=1)
        corrected = min(2 * lowest - float(again.mean()), float(values.mean()))
        selected = float((usable.argmin(axis=1) == place).mean())
    # Average the lowest bounds, if every estimate has some.
    defined = [interval for interval in intervals if interval is not None]
    bounds = None
    if len(defined) == len(values):
        low = mean_of_lowest(np.array([interval.low for interval in defined]), few)
        high = mean_of_lowest(np.array([interval.high for interval in defined]), few)
        bounds = Interval(low, high)
    return Worst(place, lowest, max(corrected, lowest), bounds, selected, len(values))


def mean_of_lowest(values: Values, few: int) -> float:
    """Average the ``few`` lowest values."""
    return float(np.sort(values)[:few].mean())


def simultaneous(count: int, confidence: float = 0.95) -> float:
    """Return the confidence of each of ``count`` simultaneous intervals (Bonferroni)."""
    return 1 - (1 - confidence) / count
