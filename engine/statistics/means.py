"""Means over units and paired differences between conditions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.statistics.bootstrap import Interval, Values, within
from engine.statistics.levels import least_p_of_people

SAME = 1e-6
"""Spread of float32 measurements below which values are the same."""

DRAWS = 9999
"""Sign patterns that are drawn where there are more than these."""


def mean_interval(
    values: Values, bounds: tuple[float, float] = (-np.inf, np.inf), confidence: float = 0.95
) -> Interval | None:
    """Student's t interval of a mean.

    Unit: one value, such as a key or a person.
    Assumes: independent values, nearly normal or many.
    Fails: too narrow for three to five values that are all or nothing; see
    :func:`engine.statistics.share_interval`.

    Args:
        values: (n,), finite.
        bounds: Range of the quantity, which the interval is cut to.
        confidence: Between 0 and 1.

    Returns:
        The interval. None for fewer than two values, or if all are equal up to :data:`SAME`.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2 or np.ptp(values) <= SAME:
        return None
    from scipy.stats import sem, t

    low, high = t.interval(confidence, len(values) - 1, loc=values.mean(), scale=sem(values))
    return within(low, high, bounds)


@dataclass(frozen=True)
class PairedDifference:
    """Mean of ``a - b`` over n pairs, its 95 % interval, a p-value, and the least p that n pairs can give."""

    mean: float
    interval: Interval | None
    p: float
    n: int
    least_p: float

    @property
    def low(self) -> float | None:
        """Lower bound; None without an interval."""
        return None if self.interval is None else self.interval.low

    @property
    def high(self) -> float | None:
        """Upper bound; None without an interval."""
        return None if self.interval is None else self.interval.high


def paired_difference(a: Values, b: Values) -> PairedDifference:
    """Compare two measurements of the same units, both of shape (n,).

    Unit: one pair, such as a person under two conditions.
    Assumes: independent pairs. The interval is Student's t; ``p`` is of a two-sided sign-flip
    permutation test, exact up to 13 pairs, which assumes that the difference is as likely to be
    positive as negative.
    Fails: ``p`` cannot be below 2 / 2^n, so that five pairs never reach 0.05. One pair, and equal
    differences, have no interval.

    Raises:
        ValueError: If the shapes differ, there are no pairs, or a value is not finite.
    """
    from scipy.stats import permutation_test

    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    if difference.ndim != 1 or len(difference) == 0 or not np.isfinite(difference).all():
        msg = f"a paired comparison needs finite values of the same units, got {difference}"
        raise ValueError(msg)
    count, mean = len(difference), float(difference.mean())
    least = least_p_of_people(count, DRAWS)
    if count == 1:
        return PairedDifference(mean, None, 1.0, count, least)
    test = permutation_test(
        (difference,),
        np.mean,
        permutation_type="samples",
        n_resamples=DRAWS,
        rng=np.random.default_rng(0),
    )
    return PairedDifference(mean, mean_interval(difference), float(test.pvalue), count, least)
