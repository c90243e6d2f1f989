"""Permutation test of sentinel use, without a control system.

Keys are assigned to sources at random, and sources show no key. If a system does not use the
sentinels, all pairings of outputs with sources are therefore equally likely. Pairings with
sentinels are not: a sentinel shows the key that the query names, and so may the output.

Cosine similarities are (n, n) for n keys: outputs by sources, true pairs on the diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.statistics import least_keys, pairing_test

Cosines = NDArray[np.float64]

LEVEL = 1e-3
"""Default of the accepted probability of a false accusation."""

MIN_DEVIATION = 1e-9
"""Standard deviation up to which similarities count as equal."""


@dataclass(frozen=True)
class Permuted:
    """Result of a permutation test.

    Attributes:
        matched: Mean cosine similarity of true pairs, in [-1, 1].
        mismatched: Mean cosine similarity of other pairs, in [-1, 1].
        p: One-sided p-value.
        pairings: Number of pairings that p was computed from.
        exact: True if these are all pairings. False if they were drawn at random; p is valid
            nevertheless.
    """

    matched: float
    mismatched: float
    p: float
    pairings: int
    exact: bool


def permutation_test(cosines: Cosines, seed: int, draws: int = 99_999) -> Permuted:
    """Test if outputs are more similar to their own sources than by chance.

    Args:
        cosines: (n, n) similarity of each output to each source, in [-1, 1].
        seed: Seed of the drawn pairings.
        draws: Number of drawn pairings, if there are too many to enumerate.

    Raises:
        ValueError: If there are fewer than two keys, or a similarity is not finite.
    """
    count = len(cosines)
    if count < 2 or cosines.shape != (count, count) or not np.isfinite(cosines).all():
        msg = "a permutation test needs finite similarities of the outputs of at least two keys to "
        msg += f"their sources; got {count} keys, similarities of shape {cosines.shape}"
        raise ValueError(msg)
    matched = float(np.trace(cosines) / count)
    mismatched = float((cosines.sum() - np.trace(cosines)) / (count * (count - 1)))
    test = pairing_test(cosines, seed, draws)
    return Permuted(matched, mismatched, test.p, test.pairings, test.exact)


def effect_size(cosines: Cosines) -> float | None:
    """Return how much larger similarities to own sources are than others.

    It is in standard deviations of the others, without the effects of rows and columns, because no
    pairing changes these. The effects are those of a round-robin design (Warner, Kenny and Stoto
    1979).

    Args:
        cosines: (n, n) similarity of each output to each source, n at least 2.

    Returns:
        The effect size; None for two keys, or if the others do not vary.
    """
    count = len(cosines)
    if count < 3:
        return None
    others = np.where(np.eye(count, dtype=bool), 0.0, cosines)
    mean = others.sum() / (count * (count - 1))
    rows, columns = (others.sum(axis=axis) / (count - 1) - mean for axis in (1, 0))
    factor = (count - 1) / (count * (count - 2))
    row_effects = factor * ((count - 1) * rows + columns)
    column_effects = factor * ((count - 1) * columns + rows)
    residuals = others - mean - row_effects[:, None] - column_effects
    np.fill_diagonal(residuals, 0.0)
    freedom = count * (count - 1) - (2 * count - 1)
    deviation = float(np.sqrt((residuals**2).sum() / freedom))
    difference = float(np.diag(cosines).mean() - mean)
    return difference / deviation if deviation > MIN_DEVIATION else None


@dataclass(frozen=True)
class Sequential:
    """Result of a sequential test.

    Attributes:
        evidence: E-value after each key. If the sentinels were not used, the probability that any
            of them ever exceeds 1 / level is at most ``level``.
        level: Accepted probability of a false accusation.
        stop: Number of keys after which the test stops; None if it never does.
    """

    evidence: list[float]
    level: float
    stop: int | None

    @property
    def p(self) -> float:
        """Return the anytime-valid p-value."""
        return min(1.0, 1 / max([1.0, *self.evidence]))


def sequential_test(cosines: Cosines, level: float = LEVEL) -> Sequential:
    """Test after each key, in query order, with anytime-valid e-values.

    If the sentinels were not used, the rank of the true source among those of the keys that remain
    is uniform, given all earlier keys. The calibrator 1 / (2 sqrt(p)) (Vovk and Wang 2021)
    turns each rank into an e-value, and the evidence is their product.

    Args:
        cosines: (n, n) similarity of each output to each source, in query order.
        level: Accepted probability of a false accusation, in (0, 1).
    """
    evidence: list[float] = []
    stop = None
    total = 1.0
    for index, row in enumerate(cosines):
        remaining = row[index:]
        p = float((remaining >= remaining[0] - 1e-12).mean())
        total *= 0.5 / np.sqrt(p)
        evidence.append(float(total))
        if stop is None and total >= 1 / level:
            stop = len(evidence)
    return Sequential(evidence, level, stop)


def greatest_evidence(keys: int) -> float:
    """Return the largest e-value that a sequential test of ``keys`` keys can reach.

    It is reached if every true source ranks first.
    """
    factors = [0.5 * np.sqrt(remaining) for remaining in range(keys, 0, -1)]
    return float(np.prod([factor for factor in factors if factor > 1]))


def least_sequential_keys(level: float) -> int:
    """Return the fewest keys whose sequential test can reach a level."""
    keys = 1
    while greatest_evidence(keys) < 1 / level:
        keys += 1
    return keys


def reach_of(permuted: Permuted, keys: int, level: float) -> dict[str, Any]:
    """Compute the least p-value and the fewest keys that a decision needs.

    Args:
        permuted: Result of the permutation test.
        keys: Number of keys.
        level: Accepted probability of a false accusation.

    Returns:
        ``least_p``, the least p-value of this test; ``least_keys`` and ``sequential_keys``, the
        fewest keys with which the permutation and the sequential test can reach the level; and
        ``words``, the reason why this test cannot reach it, empty if it can.
    """
    least = 1 / permuted.pairings if permuted.exact else 1 / (permuted.pairings + 1)
    needed = least_keys(level)
    words = ""
    if keys < needed:
        words = f"{keys} keys cannot reach level {level:g}, which takes at least {needed} keys"
    elif least > level:
        words = f"{permuted.pairings:,} drawn pairings cannot reach level {level:g}"
    return {
        "least_p": least,
        "least_keys": needed,
        "sequential_keys": least_sequential_keys(level),
        "words": words,
    }
