"""Did a system use the sentinels? Answered without any other system, from which output looks like which sentinel.

If it did not, any pairing of outputs with sentinels is as good as the true one, since keys were
given to sources at random.

Letters: n = keys; cosines are (n, n), outputs by sentinels, the true pairs on the diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.statistics import least_keys, pairing_test

Cosines = NDArray[np.float64]

LEVEL = 1e-3
"""Chance of a false accusation that is accepted, unless another is asked for."""


@dataclass(frozen=True)
class Permuted:
    """Mean similarity of the true pairs and of the others, the p-value, and over how many pairings it was computed."""

    matched: float
    mismatched: float
    p: float
    pairings: int
    exact: bool
    """Whether all pairings were gone through.

    Else they were drawn at random, which keeps the p-value valid.
    """


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
    found = pairing_test(cosines, seed, draws)
    return Permuted(matched, mismatched, found.p, found.pairings, found.exact)


@dataclass(frozen=True)
class Sequential:
    """Evidence after each key, and after how many one could have stopped; None if never.

    ``evidence`` are e-values: under no use they exceed 1 / level ever with a chance of at most
    ``level``, whenever one looks.
    """

    evidence: list[float]
    level: float
    stop: int | None

    @property
    def p(self) -> float:
        """A p-value that holds whenever one looked."""
        return min(1.0, 1 / max([1.0, *self.evidence]))


def sequential_test(cosines: Cosines, level: float = LEVEL) -> Sequential:
    """The same question asked after each key, in the order they were asked.

    The rank of the true sentinel among those not asked for yet is uniform if they were not used,
    whatever came before; the calibrator 1 / (2 sqrt(p)) (Vovk and Wang, 2021) makes evidence of it,
    which multiplies.
    """
    evidence, total = [], 1.0
    for place, row in enumerate(cosines):
        left = row[place:]
        p = float((left >= left[0] - 1e-12).mean())
        total *= 0.5 / np.sqrt(p)
        evidence.append(float(total))
    stop = next((place + 1 for place, value in enumerate(evidence) if value >= 1 / level), None)
    return Sequential(evidence, level, stop)


def greatest_evidence(keys: int) -> float:
    """Evidence that a sequential test has gathered at most after so many keys, all of which came first."""
    factors = [0.5 * np.sqrt(left) for left in range(keys, 0, -1)]
    return float(np.prod([factor for factor in factors if factor > 1]))


def least_sequential_keys(level: float) -> int:
    """Fewest keys with which a sequential test can reach a level."""
    keys = 1
    while greatest_evidence(keys) < 1 / level:
        keys += 1
    return keys


def reach_of(permuted: Permuted, keys: int, level: float) -> dict[str, Any]:
    """What a permutation test of so many keys can show at most.

    Args:
        permuted: The test.
        keys: Number of keys.
        level: Chance of a false accusation that is accepted.

    Returns:
        ``least_p`` that it can give; ``least_keys`` and ``sequential_keys`` that can reach the
        level; and ``words``, which say why it cannot, empty if it can.
    """
    least = 1 / permuted.pairings if permuted.exact else 1 / (permuted.pairings + 1)
    needed = least_keys(level)
    words = ""
    if keys < needed:
        words = f"{keys} keys cannot reach level {level:g}, at least {needed} can"
    elif least > level:
        words = f"{permuted.pairings:,} drawn pairings cannot reach level {level:g}"
    return {
        "least_p": least,
        "least_keys": needed,
        "sequential_keys": least_sequential_keys(level),
        "words": words,
    }
