"""Permutation test of a pairing of rows with columns."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial

import numpy as np
from numpy.typing import NDArray

from engine.statistics.bootstrap import BATCH, Values

ENUMERATED = 9
"""Pairs up to which a pairing test goes through all pairings."""


@dataclass(frozen=True)
class PairingTest:
    """P-value of a pairing, over how many pairings it was computed, and whether these were all there are."""

    p: float
    pairings: int
    exact: bool


def pairing_test(similarity: Values, seed: int, draws: int = 99_999) -> PairingTest:
    """One-sided permutation test that each row is more similar to its own column than chance would have it.

    Unit: one row with its column.
    Assumes: without a link, every pairing of rows with columns was equally likely.
    Fails: if rows and columns are alike for another reason than the link in question.

    Args:
        similarity: (n, n) in [-1, 1]; own pairs on the diagonal.
        seed: Of the drawn pairings.
        draws: How many pairings are drawn above :data:`ENUMERATED` rows; below, all are gone
            through.
    """
    from scipy.stats import permutation_test

    count = len(similarity)
    rows = np.arange(count)
    exact = count <= ENUMERATED

    def mean(columns: NDArray[np.int64], axis: int = -1) -> Values:
        return 1 + similarity[rows, columns].mean(
            axis=axis
        )  # away from 0, as scipy's tolerance for ties is relative

    found = permutation_test(
        (rows,),
        mean,
        permutation_type="pairings",
        alternative="greater",
        n_resamples=factorial(count) if exact else draws,
        batch=max(1, BATCH // count),
        rng=np.random.default_rng(seed),
    )
    return PairingTest(float(found.pvalue), factorial(count) if exact else draws, exact)
