"""Split-conformal bounds: thresholds with a stated error rate on new scores."""

from __future__ import annotations

import math

import numpy as np

from engine.statistics.bootstrap import Values


def conformal_bound(scores: Values, rate: float, spare: int = 0) -> float | None:
    """Return the value that a new score exceeds with a probability of at most ``rate``.

    It is the k-th smallest score with k = ceil((n + 1)(1 - rate)) (Vovk et al. 2005; Lei et al.
    2018). The probability is over the scores and the new one together: the share of all new scores
    above one such bound varies around it, by a beta distribution.

    Unit: one score.
    Assumes: the scores and the new one are exchangeable; nothing of their distribution.
    Fails: for new scores of another distribution, such as of images edited afterwards.

    Args:
        scores: (n,) scores that nothing was fitted on.
        rate: Largest probability of a new score above the bound, between 0 and 1.
        spare: Scores that the new one's presence could raise above it, at most; see
            :func:`least_scores`.

    Returns:
        The bound, or None for fewer than :func:`least_scores` scores.
    """
    allowed = math.floor((len(scores) + 1) * rate + 1e-9) - spare
    if allowed < 1:
        return None
    return float(np.sort(np.asarray(scores, dtype=np.float64))[len(scores) - allowed])


def least_scores(rate: float, spare: int = 0) -> int:
    """Return the fewest scores with a conformal bound at a rate: ceil((1 + spare) / rate - 1).

    Args:
        rate: Rate of the bound, between 0 and 1.
        spare: 0 for scores that do not depend on each other. Each member's similarity to its
            nearest neighbor in a set has 1: the new member can be the nearest of the one member
            that is nearest to it, and of no other that counts.
    """
    return max(1, math.ceil((1 + spare) / rate - 1 - 1e-9))
