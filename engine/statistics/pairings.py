"""Permutation test of the pairing of rows with columns."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial

import numpy as np
from numpy.typing import NDArray

from engine.statistics.bootstrap import MAX_BATCH_VALUES, Values

MAX_ENUMERATED_PAIRS = 9
"""Most pairs for which a pairing test enumerates all pairings."""


@dataclass(frozen=True)
class PairingTest:
    """Result of a pairing test.

    Attributes:
        p: One-sided p-value.
        pairings: Number of pairings that it was computed from.
        exact: True if these are all pairings; False if they were drawn.
    """

    p: float
    pairings: int
    exact: bool


def pairing_test(
    similarity: Values, seed: int, draws: int = 99_999, enumerated: int = MAX_ENUMERATED_PAIRS
) -> PairingTest:
    """Test if rows are more similar to their own columns than by chance.

    It is a one-sided permutation test.

    Unit: one row with its column.
    Assumes: under the null hypothesis, all pairings of rows with columns are equally likely.
    Fails: if rows and columns are similar for another reason than the tested one.

    Args:
        similarity: (n, n) in [-1, 1]; true pairs on the diagonal.
        seed: Seed of the drawn pairings.
        draws: Number of drawn pairings.
        enumerated: Most rows for which all pairings are enumerated instead.
    """
    from scipy.stats import permutation_test

    count = len(similarity)
    rows = np.arange(count)
    exact = count <= enumerated
    pairings = factorial(count) if exact else draws

    def mean(columns: NDArray[np.int64], axis: int = -1) -> Values:
        # Shifted away from 0, because scipy's tolerance for ties is relative.
        return 1 + similarity[rows, columns].mean(axis=axis)

    test = permutation_test(
        (rows,),
        mean,
        permutation_type="pairings",
        alternative="greater",
        n_resamples=pairings,
        batch=max(1, MAX_BATCH_VALUES // count),
        rng=np.random.default_rng(seed),
    )
    return PairingTest(float(test.pvalue), pairings, exact)
