"""Did a system use the sentinels? Answered without any other system, from which output looks like which sentinel.

If it did not, any pairing of outputs with sentinels is as good as the true one, since keys were given to sources at random.

Letters: n = keys; cosines are (n, n), outputs by sentinels, the true pairs on the diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from math import factorial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

Cosines = NDArray[np.float64]

ENUMERATED = 9
"""Keys up to which all pairings are gone through."""


@dataclass(frozen=True)
class Permuted:
    """Mean similarity of the true pairs and of the others, the p-value, and over how many pairings it was computed."""

    matched: float
    mismatched: float
    p: float
    pairings: int
    exact: bool
    """Whether all pairings were gone through; else they were drawn at random, which keeps the p-value valid."""


def permutation_test(cosines: Cosines, seed: int, draws: int = 99_999) -> Permuted:
    """One-sided test that outputs are more like their own sentinels than chance would have it.

    Args:
        cosines: Similarity of each output to each sentinel.
        seed: Of the drawn pairings.
        draws: How many are drawn where there are too many to go through.

    Raises:
        ValueError: If there are fewer than two keys.
    """
    count = len(cosines)
    if count < 2 or cosines.shape != (count, count) or not np.isfinite(cosines).all():
        msg = f"a permutation test needs at least two keys whose outputs could be compared with every sentinel, got {count}"
        raise ValueError(msg)
    matched = float(np.trace(cosines) / count)
    mismatched = float((cosines.sum() - np.trace(cosines)) / (count * (count - 1)))
    rows, tie = np.arange(count), matched - 1e-12
    if exact := count <= ENUMERATED:
        orders = np.array(list(permutations(range(count))))
        p = float((cosines[rows, orders].mean(axis=1) >= tie).mean())
        return Permuted(matched, mismatched, p, factorial(count), exact)
    rng, above = np.random.default_rng(seed), 1
    for start in range(0, draws, 10_000):
        orders = rng.permuted(np.tile(rows, (min(10_000, draws - start), 1)), axis=1)
        above += int((cosines[rows, orders].mean(axis=1) >= tie).sum())
    return Permuted(matched, mismatched, above / (draws + 1), draws, exact)


@dataclass(frozen=True)
class Sequential:
    """Evidence after each key, and after how many one could have stopped; None if never.

    ``evidence`` are e-values: under no use they exceed 1 / level ever with a chance of at most ``level``, whenever one looks.
    """

    evidence: list[float]
    level: float
    stop: int | None

    @property
    def p(self) -> float:
        """A p-value that holds whenever one looked."""
        return min(1.0, 1 / max([1.0, *self.evidence]))


def sequential_test(cosines: Cosines, level: float = 1e-3) -> Sequential:
    """The same question asked after each key, in the order they were asked.

    The rank of the true sentinel among those not asked for yet is uniform if they were not used, whatever came before; the calibrator
    1 / (2 sqrt(p)) (Vovk and Wang, 2021) makes evidence of it, which multiplies.
    """
    evidence, total = [], 1.0
    for place, row in enumerate(cosines):
        left = row[place:]
        p = float((left >= left[0] - 1e-12).mean())
        total *= 0.5 / np.sqrt(p)
        evidence.append(float(total))
    stop = next((place + 1 for place, value in enumerate(evidence) if value >= 1 / level), None)
    return Sequential(evidence, level, stop)


def share_interval(successes: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share."""
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, successes, total - successes + 1)) if successes else 0.0
    high = float(beta.ppf(1 - tail, successes + 1, total - successes)) if successes < total else 1.0
    return low, high


def mean_interval(values: NDArray[np.float64], seed: int, resamples: int = 10_000) -> tuple[float, float]:
    """95 % bootstrap interval of a mean."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(resamples, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
