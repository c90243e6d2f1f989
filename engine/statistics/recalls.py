"""Paired comparison of two recalls over the same images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.statistics.bootstrap import Interval
from engine.statistics.shares import proportion_interval


@dataclass(frozen=True)
class PairedRecall:
    """Difference of two recalls, its interval, McNemar's exact p, and the images that only one found."""

    difference: float
    interval: Interval
    p: float
    gained: int
    lost: int
    n: int


def paired_recall(
    a: NDArray[np.bool_], b: NDArray[np.bool_], confidence: float = 0.95
) -> PairedRecall:
    """Compare which images two systems find, by McNemar's exact test.

    Unit: one image, found or not by each system.
    Assumes: independent images. The interval adds Clopper and Pearson's bounds of both kinds of
    discordant images by square and add; it covers at least what it says and is never of zero width.
    Fails: p and interval are made differently, so they may disagree near the level.

    Args:
        a: (n,) found by the first system.
        b: (n,) found by the second one.
        confidence: Between 0 and 1.

    Raises:
        ValueError: If there are no images, or the shapes differ.
    """
    from scipy.stats import binomtest

    a, b = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        msg = f"a paired comparison needs both answers for the same images, got {a.shape} and {b.shape}"
        raise ValueError(msg)
    count = len(a)
    gained, lost = int((a & ~b).sum()), int((b & ~a).sum())
    difference = (gained - lost) / count
    won, missed = (proportion_interval(of, count, confidence=confidence) for of in (gained, lost))
    below = np.hypot(gained / count - won.low, missed.high - lost / count)
    above = np.hypot(won.high - gained / count, lost / count - missed.low)
    bounds = Interval(max(-1.0, float(difference - below)), min(1.0, float(difference + above)))
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return PairedRecall(difference, bounds, p, gained, lost, count)
