"""Paired comparison of two recalls over the same images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.statistics.bootstrap import Interval
from engine.statistics.shares import proportion_interval


@dataclass(frozen=True)
class PairedRecall:
    """Result of a paired comparison of two recalls.

    Attributes:
        difference: Recall of the first system minus that of the second.
        interval: Confidence interval of the difference.
        p: P-value of McNemar's exact test.
        gained: Number of images that only the first system finds.
        lost: Number of images that only the second system finds.
        n: Number of images.
    """

    difference: float
    interval: Interval
    p: float
    gained: int
    lost: int
    n: int


def paired_recall(
    a: NDArray[np.bool_], b: NDArray[np.bool_], confidence: float = 0.95
) -> PairedRecall:
    """Compare the recalls of two systems by McNemar's exact test.

    The interval combines the Clopper-Pearson bounds of gained and lost images by square-and-add. It
    covers at least ``confidence`` and never has zero width.

    Unit: one image, found or not by each system.
    Assumes: independent images.
    Fails: p and interval come from different methods, so they may disagree near the level.

    Args:
        a: (n,) True for images that the first system finds.
        b: (n,) True for images that the second system finds.
        confidence: Confidence level, between 0 and 1.

    Raises:
        ValueError: If there are no images, or the shapes differ.
    """
    from scipy.stats import binomtest

    a = np.asarray(a, dtype=bool)
    b = np.asarray(b, dtype=bool)
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        msg = "a paired comparison needs one answer of both systems for the same images, "
        msg += f"got shapes {a.shape} and {b.shape}"
        raise ValueError(msg)
    # Discordant images.
    count = len(a)
    gained = int((a & ~b).sum())
    lost = int((b & ~a).sum())
    difference = (gained - lost) / count
    # Square-and-add of the bounds of both shares.
    gain = proportion_interval(gained, count, confidence=confidence)
    loss = proportion_interval(lost, count, confidence=confidence)
    below = np.hypot(gained / count - gain.low, loss.high - lost / count)
    above = np.hypot(gain.high - gained / count, lost / count - loss.low)
    bounds = Interval(max(-1.0, float(difference - below)), min(1.0, float(difference + above)))
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return PairedRecall(difference, bounds, p, gained, lost, count)
