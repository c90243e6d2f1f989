"""Intervals of the area under the ROC curve, and true-positive rates at a false-positive rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.statistics.bootstrap import Interval, Values, within
from engine.statistics.shares import beta_interval

NEGATIVES_PER_RATE = 3
"""Negatives times rate below which a true-positive rate at that rate is noise."""


def tpr_at_fpr(positives: Values, negatives: Values, rate: float) -> float | None:
    """Largest true-positive rate whose false-positive rate is at most ``rate``, at a threshold chosen on these scores.

    Unit: one score.
    Assumes: nothing. The threshold is an oracle's, since it is chosen on the very scores that are
    counted.
    Fails: below ``3 / rate`` negatives, where it is None: 300 for 1 %. At that number the true
    false-positive rate at the threshold may still be twice as large.

    Args:
        positives: (m,) scores.
        negatives: (n,) scores.
        rate: Between 0 and 1.
    """
    count = len(negatives)
    if not len(positives) or count < least_negatives(rate):
        return None
    allowed = int(np.floor(rate * count + 1e-9))
    threshold = np.sort(negatives)[count - 1 - allowed]
    return float((np.asarray(positives) > threshold).mean())


def least_negatives(rate: float) -> int:
    """Fewest negatives from which a true-positive rate at a false-positive rate is computed."""
    return int(np.ceil(NEGATIVES_PER_RATE / rate - 1e-9))


def auc_interval(
    label: NDArray[np.int64],
    score: Values,
    units: NDArray[np.str_] | None = None,
    confidence: float = 0.95,
) -> Interval | None:
    """DeLong's interval of the AUC on the logit scale, over clusters (Obuchowski 1997).

    Unit: one score, or a cluster of scores with one name in ``units``, such as an image and its
    reconstruction.
    Assumes: independent clusters. Quantiles are Student's t of the clusters in the smaller class.
    Fails: below about ten clusters of a class; too narrow near 1, where few errors decide (0.92
    instead of 0.95 at an AUC of 0.998 with 200 images of a class). At an AUC of 0 or 1, and without
    any variance, the interval is the exact one of as many disjoint pairs of a positive and a
    negative as there are, which covers more than it says.

    Args:
        label: (n,) 1 for positives, 0 for negatives.
        score: (n,).
        units: (n,) names; each score on its own if None.
        confidence: Between 0 and 1.

    Returns:
        Bounds from 0 to 1. None if a class has fewer than two clusters.
    """
    from scipy.special import expit, logit
    from scipy.stats import t

    place = unit_places(len(label), units)
    pairs = disjoint_pairs(label, place)
    if pairs < 2:
        return None
    auc, influence = auc_influence(label, np.asarray(score, dtype=np.float64))
    error = np.sqrt(clustered_variance(influence, label, place))
    if auc in (0.0, 1.0) or error < 1e-9:
        return beta_interval(auc, pairs, confidence)
    half = t.ppf((1 + confidence) / 2, pairs - 1) * error / (auc * (1 - auc))
    low, high = expit(logit(auc) + np.array([-half, half]))
    return within(low, high, (0.0, 1.0))


def auc_difference_interval(
    label: NDArray[np.int64],
    a: Values,
    b: Values,
    units: NDArray[np.str_] | None = None,
    confidence: float = 0.95,
) -> Interval | None:
    """DeLong's interval of the difference of two AUCs on the same images.

    Unit: as :func:`auc_interval`.
    Assumes: independent clusters; a nearly normal difference.
    Fails: near AUC 1 of both. Where no variance was seen the bounds are those of disjoint pairs, as
    of :func:`auc_interval`.

    Args:
        label: (n,) 1 for positives, 0 for negatives.
        a: (n,) scores of the first system.
        b: (n,) scores of the second one.
        units: (n,) names; each image on its own if None.
        confidence: Between 0 and 1.

    Returns:
        Bounds from -1 to 1. None if a class has fewer than two clusters.
    """
    from scipy.stats import t

    place = unit_places(len(label), units)
    pairs = disjoint_pairs(label, place)
    if pairs < 2:
        return None
    (first, one), (second, other) = (
        auc_influence(label, np.asarray(score, dtype=np.float64)) for score in (a, b)
    )
    difference = first - second
    half = t.ppf((1 + confidence) / 2, pairs - 1) * np.sqrt(
        clustered_variance(one - other, label, place)
    )
    if half < 1e-9:
        half = beta_interval(0.0, pairs, confidence).high
    return within(difference - half, difference + half, (-1.0, 1.0))


def auc_influence(label: NDArray[np.int64], score: Values) -> tuple[float, Values]:
    """AUC and each score's own contribution to its error, DeLong's structural components over the class's size."""
    from scipy.stats import rankdata

    positive = label == 1
    m, n = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(score)
    wins = np.empty(len(score))
    wins[positive] = (ranks[positive] - rankdata(score[positive])) / n
    wins[~positive] = 1 - (ranks[~positive] - rankdata(score[~positive])) / m
    auc = float(wins[positive].mean())
    return auc, (wins - auc) / np.where(positive, m, n)


def clustered_variance(
    influence: Values, label: NDArray[np.int64], place: NDArray[np.int64]
) -> float:
    """Variance of a sum over clusters, with each class's own correction for few clusters."""
    size = place.max() + 1
    sums = [
        np.bincount(place, np.where(label == of, influence, 0.0), minlength=size) for of in (1, 0)
    ]
    counts = [len(np.unique(place[label == of])) for of in (1, 0)]
    own = sum((part**2).sum() * c / (c - 1) for part, c in zip(sums, counts, strict=True))
    both = 2 * (sums[0] * sums[1]).sum() * size / (size - 1)
    return max(0.0, float(own + both))


def unit_places(count: int, units: NDArray[np.str_] | None) -> NDArray[np.int64]:
    """Number of each row's cluster, (n,)."""
    return np.arange(count) if units is None else np.unique(units, return_inverse=True)[1]


def disjoint_pairs(label: NDArray[np.int64], place: NDArray[np.int64]) -> int:
    """Independent pairs of a positive and a negative that can be formed of distinct clusters."""
    of_class = [len(np.unique(place[label == of])) for of in (0, 1)]
    return min(*of_class, len(np.unique(place)) // 2)
