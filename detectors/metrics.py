"""Metrics of real-or-generated detectors, most of them from scikit-learn.

An undefined metric is None, never 0 or 1; most are undefined on one class. scikit-learn is imported
inside the functions because its import takes seconds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine import statistics

Labels = NDArray[np.int64]
Values = NDArray[np.float64]

BINS = 15
"""Number of bins of calibration error and reliability."""


def both_classes(label: Labels) -> bool:
    """Return True if there are both real and generated images."""
    return bool(label.any() and not label.all())


def auc(label: Labels, score: Values) -> float | None:
    """Area under the ROC curve; ties count one half."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(label, score)) if both_classes(label) else None


def average_precision(label: Labels, score: Values) -> float | None:
    """Average precision of the generated images.

    It depends on their share of all images.
    """
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(label, score)) if both_classes(label) else None


def balanced_average_precision(label: Labels, score: Values) -> float | None:
    """Average precision with equal weights of both classes."""
    from sklearn.metrics import average_precision_score

    if not both_classes(label):
        return None
    return float(average_precision_score(label, score, sample_weight=class_weights(label)))


def accuracy(label: Labels, score: Values, threshold: float) -> float:
    """Share of correctly classified images.

    Args:
        label: (N,) 1 generated, 0 real.
        score: (N,) probability or logit of being generated.
        threshold: Least score of an image that counts as generated.
    """
    return float(((score >= threshold) == (label == 1)).mean())


def recall(label: Labels, score: Values, threshold: float, of: int) -> float | None:
    """Share of one class that is classified correctly; None without images.

    Args:
        label: (N,) 1 generated, 0 real.
        score: (N,) probability or logit of being generated.
        threshold: Least score of an image that counts as generated.
        of: The class, 0 for real and 1 for generated.
    """
    from sklearn.metrics import recall_score

    if not (label == of).any():
        return None
    return float(recall_score(label, score >= threshold, pos_label=of))


def balanced_accuracy(label: Labels, score: Values, threshold: float) -> float | None:
    """Mean of the recalls of both classes; None on one class.

    Args:
        label: (N,) 1 generated, 0 real.
        score: (N,) probability or logit of being generated.
        threshold: Least score of an image that counts as generated.
    """
    from sklearn.metrics import balanced_accuracy_score

    if not both_classes(label):
        return None
    return float(balanced_accuracy_score(label, score >= threshold))


def tpr_at_fpr(label: Labels, score: Values, rate: float) -> float | None:
    """True-positive rate at a false-positive rate.

    The threshold is the oracle's: it is chosen on the same images. With fewer than 3 / rate real
    images (300 for 1 %) the result is None.

    Args:
        label: (N,) 1 generated, 0 real.
        score: (N,) probability or logit of being generated.
        rate: False-positive rate, between 0 and 1.
    """
    return statistics.tpr_at_fpr(score[label == 1], score[label == 0], rate)


def equal_error_rate(label: Labels, score: Values) -> float | None:
    """Interpolated rate at which false positives equal false negatives."""
    from sklearn.metrics import roc_curve

    if not both_classes(label):
        return None
    false, true, _ = roc_curve(label, score, drop_intermediate=False)
    gap = false - (1 - true)
    after = int(np.argmax(gap >= 0))
    if after == 0:
        return float(false[0])
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    return float(false[after - 1] + share * (false[after] - false[after - 1]))


def class_weights(label: Labels) -> Values:
    """Weights with sum 1 that give each class one half."""
    from sklearn.utils import compute_sample_weight

    return np.asarray(compute_sample_weight("balanced", label)) / len(label)


def calibration_error(
    label: Labels, probability: Values, bins: int = BINS, *, balanced: bool = False
) -> float:
    """Expected calibration error over bins of equal width.

    It is the mean distance of P(generated) from the share of generated images. Even perfectly
    calibrated probabilities have an error above 0; see :func:`engine.statistics.calibration_error`
    for this floor. torchmetrics' calibration error has no class weights.

    Args:
        label: (N,) 1 generated, 0 real.
        probability: (N,) P(generated), 0 to 1.
        bins: Number of bins.
        balanced: Weight both classes equally, independent of their numbers of images.
    """
    weights = class_weights(label) if balanced else np.full(len(label), 1 / len(label))
    bin_of = _bins(probability, bins)
    gap = np.bincount(bin_of, weights * (probability - label), minlength=bins)
    return float(np.abs(gap).sum() / weights.sum())


def _bins(probability: Values, bins: int) -> NDArray[np.int64]:
    """Number of each probability's bin, (N,)."""
    return np.minimum((probability * bins).astype(int), bins - 1)


def reliability(
    label: Labels, probability: Values, bins: int = BINS
) -> list[tuple[float, float, int]]:
    """Points of a reliability diagram, one for each bin with images.

    Args:
        label: (N,) 1 generated, 0 real.
        probability: (N,) P(generated), 0 to 1.
        bins: Number of bins.

    Returns:
        Mean P(generated), share of generated images, and number of images of each bin.
    """
    bin_of = _bins(probability, bins)
    points = []
    for index in range(bins):
        mask = bin_of == index
        if mask.any():
            mean = float(probability[mask].mean())
            points.append((mean, float(label[mask].mean()), int(mask.sum())))
    return points


def log_loss(label: Labels, probability: Values) -> float:
    """Mean negative log-likelihood, of probabilities clipped to [1e-12, 1 - 1e-12]."""
    from sklearn.metrics import log_loss as loss

    return float(loss(label, np.clip(probability, 1e-12, 1 - 1e-12), labels=[0, 1]))


def brier(label: Labels, probability: Values) -> float:
    """Brier score: mean squared distance of P(generated) from the label."""
    from sklearn.metrics import brier_score_loss

    return float(brier_score_loss(label, probability, labels=[0, 1]))
