"""Paired comparisons over identities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True)
class PairedDifference:
    """Mean of ``a - b`` over pairs, its 95 % interval, and a p-value.

    The interval is Student's t over the pairs; ``p`` is of a two-sided sign-flip permutation test, exact up to 13 pairs.
    With one pair the interval is unbounded and p is 1.
    """

    mean: float
    low: float
    high: float
    p: float


def half_width(values: NDArray[np.float64]) -> float:
    """Half of the 95 % interval of a mean (Student's t over the values); 0 for one value."""
    return float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)) if len(values) > 1 else 0.0


def paired_difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> PairedDifference:
    """Compare two measurements of the same identities, both of shape (n,).

    Raises:
        ValueError: If the shapes differ, there are no pairs, or a value is not a number.
    """
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    if difference.ndim != 1 or len(difference) == 0 or not np.isfinite(difference).all():
        msg = f"a paired comparison needs finite values of the same identities, got {difference}"
        raise ValueError(msg)
    mean = float(difference.mean())
    if len(difference) == 1:
        return PairedDifference(mean, -np.inf, np.inf, 1.0)
    half = half_width(difference)
    test = stats.permutation_test((difference,), np.mean, permutation_type="samples", n_resamples=9999, rng=np.random.default_rng(0))
    return PairedDifference(mean, mean - half, mean + half, float(test.pvalue))
