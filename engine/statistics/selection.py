"""Estimates that were selected because they are the lowest of many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.statistics.bootstrap import Interval, Values


@dataclass(frozen=True)
class Worst:
    """Lowest of several estimates, corrected for having been selected.

    Attributes:
        place: Which of them.
        value: As measured, too low on average.
        corrected: Less the bias that re-selection shows, and no more than the mean of all.
        interval: Of the true lowest value; None without intervals of all.
        selected: Share of resamples in which the same one is the lowest.
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
    """Correct the mean of the few lowest values for their selection.

    Unit: that of the resamples, such as an image.
    Assumes: the intervals are simultaneous, each at 1 - 0.05 / k; see :func:`simultaneous`. The
    mean of the lowest of their bounds then bounds the mean of the lowest true values, whatever is
    true.
    Fails: the correction is by bootstrap with re-selection, which removes most but not all of the
    bias if all are equal. The interval is wide, since nothing is assumed of how the values are
    distributed.

    Args:
        values: (k,) estimates.
        resampled: (resamples, k) estimates of the same from resampled units; NaN where undefined.
        intervals: Simultaneous intervals of each.
        few: How many of the lowest are averaged.
    """
    values = np.asarray(values, dtype=np.float64)
    lowest = mean_of_lowest(values, few)
    usable = resampled[np.isfinite(resampled).all(axis=1)]
    place = int(np.argmin(values))
    corrected, selected = lowest, 1.0
    if len(usable):
        again = np.sort(usable, axis=1)[:, :few].mean(axis=1)
        corrected = min(2 * lowest - float(again.mean()), float(values.mean()))
        selected = float((usable.argmin(axis=1) == place).mean())
    known = [interval for interval in intervals if interval is not None]
    bounds = None
    if len(known) == len(values):
        low, high = (mean_of_lowest(np.array(side), few) for side in zip(*known, strict=True))
        bounds = Interval(low, high)
    return Worst(place, lowest, max(corrected, lowest), bounds, selected, len(values))


def mean_of_lowest(values: Values, few: int) -> float:
    """Mean of the few lowest values."""
    return float(np.sort(values)[:few].mean())


def simultaneous(count: int, confidence: float = 0.95) -> float:
    """Confidence that each of so many intervals needs for all to hold at once (Bonferroni)."""
    return 1 - (1 - confidence) / count
