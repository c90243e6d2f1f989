"""Intervals of the AUC, and true-positive rates at a false-positive rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.statistics.bootstrap import Interval, Values, clip_interval
from engine.statistics.shares import beta_interval

MIN_FALSE_POSITIVES = 3
"""Least expected number of false positives for which a true-positive rate is computed."""


def tpr_at_fpr(positives: Values, negatives: Values, rate: float) -> float | None:
    """Return the largest true-positive rate at a false-positive rate of at most ``rate``.

    The threshold is chosen on the same scores, so it is an oracle threshold.

    Unit: one score.
    Assumes: nothing.
    Fails: with little more than ``3 / rate`` negatives, the true false-positive rate at the
    threshold may be twice ``rate``.

    Args:
        positives: (m,) scores of positives.
        negatives: (n,) scores of negatives.
        rate: False-positive rate, between 0 and 1.

    Returns:
        The rate, or None below ``3 / rate`` negatives (300 for 1 %) or without positives.
    """
    count = len(negatives)
    if not len(positives) or count < least_negatives(rate):
        return None
    allowed = int(np.floor(rate * count + 1e-9))
    threshold = np.sort(negatives)[count - 1 - allowed]
    return float((np.asarray(positives) > threshold).mean())


def least_negatives(rate: float) -> int:
    """Return the fewest negatives for a true-positive rate at a false-positive rate."""
    return int(np.ceil(MIN_FALSE_POSITIVES / rate - 1e-9))


def auc_interval(
    label: NDArray[np.int64],
    score: Values,
    units: NDArray[np.str_] | None = None,
    confidence: float = 0.95,
) -> Interval | None:
    """Compute DeLong's interval of the AUC over clusters (Obuchowski 1997).

    It is symmetric on the logit scale, with quantiles of Student's t. At an AUC of 0 or 1, and
    without variance, it is the exact interval of a proportion whose trials are disjoint pairs of a
    positive and a negative; that one covers more than ``confidence``.

    Unit: one score, or a cluster of scores with one name in ``units``, such as an image and its
    reconstruction.
    Assumes: independent clusters.
    Fails: below about ten clusters of a class. Near 1 a few errors decide, and it is too narrow: it
    covers 0.92 instead of 0.95 at an AUC of 0.998 with 200 images of each class.

    Args:
        label: (n,) 1 for positives, 0 for negatives.
        score: (n,) larger for positives.
        units: (n,) cluster name of each score; every score is a cluster if None.
        confidence: Confidence level, between 0 and 1.

    Returns:
        Bounds in [0, 1], or None if a class has fewer than two clusters.
    """
    from scipy.special import expit, logit
    from scipy.stats import t

    cluster = cluster_indices(len(label), units)
    pairs = disjoint_pairs(label, cluster)
    if pairs < 2:
        return None
    auc, influence = auc_influence(label, np.asarray(score, dtype=np.float64))
    error = np.sqrt(clustered_variance(influence, label, cluster))
    if auc in (0.0, 1.0) or error < 1e-9:
        return beta_interval(auc, pairs, confidence)
    half = t.ppf((1 + confidence) / 2, pairs - 1) * error / (auc * (1 - auc))
    low, high = expit(logit(auc) + np.array([-half, half]))
    return clip_interval(low, high, (0.0, 1.0))


def auc_difference_interval(
    label: NDArray[np.int64],
    a: Values,
    b: Values,
    units: NDArray[np.str_] | None = None,
    confidence: float = 0.95,
) -> Interval | None:
    """Compute DeLong's interval of the difference of two AUCs on the same images.

    Without variance its half-width is that of an exact interval over disjoint pairs; see
    :func:`auc_interval`.

    Unit: one image, or a cluster of images with one name in ``units``.
    Assumes: independent clusters; a nearly normal difference.
    Fails: if both AUCs are close to 1.

    Args:
        label: (n,) 1 for positives, 0 for negatives.
        a: (n,) scores of the first system.
        b: (n,) scores of the second system.
        units: (n,) cluster name of each image; every image is a cluster if None.
        confidence: Confidence level, between 0 and 1.

    Returns:
        Bounds in [-1, 1] of the AUC of ``a`` minus that of ``b``, or None if a class has fewer than
        two clusters.
    """
    from scipy.stats import t

    cluster = cluster_indices(len(label), units)
    pairs = disjoint_pairs(label, cluster)
    if pairs < 2:
        return None
    first_auc, first = auc_influence(label, np.asarray(a, dtype=np.float64))
    second_auc, second = auc_influence(label, np.asarray(b, dtype=np.float64))
    difference = first_auc - second_auc
    error = np.sqrt(clustered_variance(first - second, label, cluster))
    half = t.ppf((1 + confidence) / 2, pairs - 1) * error
    if half < 1e-9:
        half = beta_interval(0.0, pairs, confidence).high
    return clip_interval(difference - half, difference + half, (-1.0, 1.0))


def auc_influence(label: NDArray[np.int64], score: Values) -> tuple[float, Values]:
    """Compute the AUC and each score's influence on it (DeLong 1988).

    The influence is the centered structural component of a score, divided by the size of its class.
    Influences sum to zero within each class.

    Args:
        label: (n,) 1 for positives, 0 for negatives.
        score: (n,) larger for positives.

    Returns:
        The AUC and the influences, (n,).
    """
    from scipy.stats import rankdata

    positive = label == 1
    m = int(positive.sum())
    n = int((~positive).sum())
    ranks = rankdata(score)
    wins = np.empty(len(score))
    wins[positive] = (ranks[positive] - rankdata(score[positive])) / n
    wins[~positive] = 1 - (ranks[~positive] - rankdata(score[~positive])) / m
    auc = float(wins[positive].mean())
    return auc, (wins - auc) / np.where(positive, m, n)


def clustered_variance(
    influence: Values, label: NDArray[np.int64], cluster: NDArray[np.int64]
) -> float:
    """Compute the variance of the sum of influences over clusters.

    Each class has its correction for few clusters.

    Args:
        influence: (n,) influence of each score.
        label: (n,) 1 for positives, 0 for negatives.
        cluster: (n,) cluster index of each score.
    """
    size = cluster.max() + 1
    sums = []
    within_class = 0
    for class_label in (1, 0):
        members = label == class_label
        sums.append(np.bincount(cluster, np.where(members, influence, 0.0), minlength=size))
        count = len(np.unique(cluster[members]))
        within_class += (sums[-1] ** 2).sum() * count / (count - 1)
    between_classes = 2 * (sums[0] * sums[1]).sum() * size / (size - 1)
    return max(0.0, float(within_class + between_classes))


def cluster_indices(count: int, units: NDArray[np.str_] | None) -> NDArray[np.int64]:
    """Return the cluster index of each of ``count`` rows, (n,)."""
    return np.arange(count) if units is None else np.unique(units, return_inverse=True)[1]


def disjoint_pairs(label: NDArray[np.int64], cluster: NDArray[np.int64]) -> int:
    """Count pairs of a positive and a negative that share no cluster."""
    positives = len(np.unique(cluster[label == 1]))
    negatives = len(np.unique(cluster[label == 0]))
    return min(negatives, positives, len(np.unique(cluster)) // 2)
