"""Means over units and paired differences between conditions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.statistics.bootstrap import Interval, Values, clip_interval
from engine.statistics.levels import least_p_of_people

MIN_SPREAD = 1e-6
"""Range of values up to which float32 measurements count as equal."""

MAX_SIGN_PATTERNS = 9999
"""Sign patterns of a permutation test; if there are more, this many are drawn."""


def mean_interval(
    values: Values, bounds: tuple[float, float] = (-np.inf, np.inf), confidence: float = 0.95
) -> Interval | None:
    """Compute Student's t interval of a mean.

    Unit: one value, such as a key or a person.
    Assumes: independent values that are nearly normal or many.
    Fails: too narrow for three to five values that are all 0 or 1; use
    :func:`engine.statistics.share_interval`.

    Args:
        values: (n,), finite.
        bounds: Range of the quantity; the interval is clipped to it.
        confidence: Confidence level, between 0 and 1.

    Returns:
        The interval, or None for fewer than two values or a range of at most :data:`MIN_SPREAD`.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2 or np.ptp(values) <= MIN_SPREAD:
        return None
    from scipy.stats import sem, t

    low, high = t.interval(confidence, len(values) - 1, loc=values.mean(), scale=sem(values))
    return clip_interval(low, high, bounds)


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference of n pairs with its interval and p-value.

    Attributes:
        mean: Mean of ``a - b``.
        interval: Its 95 % interval; None if undefined.
        p: Two-sided p-value of the sign-flip test.
        n: Number of pairs.
        least_p: Least p-value that n pairs can give.
    """

    mean: float
    interval: Interval | None
    p: float
    n: int
    least_p: float

    @property
    def low(self) -> float | None:
        """Return the lower bound; None without an interval."""
        return None if self.interval is None else self.interval.low

    @property
    def high(self) -> float | None:
        """Return the upper bound; None without an interval."""
        return None if self.interval is None else self.interval.high


def paired_difference(
    a: Values, b: Values, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> PairedDifference:
    """Compare two measurements of the same units, both of shape (n,).

    ``bounds`` is the range of possible differences, which the interval does not leave.

    The interval is Student's t; one pair, and equal differences, have none. ``p`` comes from a
    two-sided sign-flip permutation test, which is exact up to 13 pairs.

    Unit: one pair, such as a person under two conditions.
    Assumes: independent pairs; under the null hypothesis, both signs of a difference are equally
    likely.
    Fails: ``p`` is at least 2 / 2^n, so five pairs never reach 0.05.

    Raises:
        ValueError: If the shapes differ, there are no pairs, or a value is not finite.
    """
    from scipy.stats import permutation_test

    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    if difference.ndim != 1 or len(difference) == 0 or not np.isfinite(difference).all():
        msg = f"a paired comparison needs finite values of the same units, got {difference}"
        raise ValueError(msg)
    count = len(difference)
    mean = float(difference.mean())
    least = least_p_of_people(count, MAX_SIGN_PATTERNS)
    if count == 1:
        return PairedDifference(mean, None, 1.0, count, least)
    test = permutation_test(
        (difference,),
        np.mean,
        permutation_type="samples",
        n_resamples=MAX_SIGN_PATTERNS,
        rng=np.random.default_rng(0),
    )
    return PairedDifference(
        mean, mean_interval(difference, bounds), float(test.pvalue), count, least
    )
