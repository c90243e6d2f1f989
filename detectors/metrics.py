"""Metrics of real-or-generated detectors, most of them scikit-learn's.

What is undefined, as with one class only, is None, never 0 or 1. scikit-learn is imported where it
runs: it takes seconds to load.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine import statistics

Labels = NDArray[np.int64]
Values = NDArray[np.float64]

BINS = 15
"""Bins of calibration error and reliability."""


def both_classes(label: Labels) -> bool:
    """True if there are real and generated images."""
    return bool(label.any() and not label.all())


def auc(label: Labels, score: Values) -> float | None:
    """Area under the ROC curve; ties count one half."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(label, score)) if both_classes(label) else None


def average_precision(label: Labels, score: Values) -> float | None:
    """Average precision of finding the generated images; it depends on their share."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(label, score)) if both_classes(label) else None


def balanced_average_precision(label: Labels, score: Values) -> float | None:
    """Average precision as if both classes were equally many."""
    from sklearn.metrics import average_precision_score

    if not both_classes(label):
        return None
    return float(average_precision_score(label, score, sample_weight=class_weights(label)))


def accuracy(label: Labels, score: Values, threshold: float) -> float:
    """Share of correct images; at the threshold itself an image counts as generated."""
    return float(((score >= threshold) == (label == 1)).mean())


def recall(label: Labels, score: Values, threshold: float, of: int) -> float | None:
    """Share of the generated (``of=1``) or real (``of=0``) images that are recognised."""
    from sklearn.metrics import recall_score

    return (
        float(recall_score(label, score >= threshold, pos_label=of))
        if (label == of).any()
        else None
    )


def balanced_accuracy(label: Labels, score: Values, threshold: float) -> float | None:
    """Mean of both recalls."""
    from sklearn.metrics import balanced_accuracy_score

    return (
        float(balanced_accuracy_score(label, score >= threshold)) if both_classes(label) else None
    )


def tpr_at_fpr(label: Labels, score: Values, rate: float) -> float | None:
    """Oracle's true-positive rate at a false-positive rate.

    None below 3 / rate real images, 300 for 1 %.
    """
    return statistics.tpr_at_fpr(score[label == 1], score[label == 0], rate)


def equal_error_rate(label: Labels, score: Values) -> float | None:
    """Error rate where false positives and false negatives have equal rates, interpolated."""
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
    """Weights that give both classes half the sum, which is 1."""
    from sklearn.utils import compute_sample_weight

    return np.asarray(compute_sample_weight("balanced", label)) / len(label)


def calibration_error(
    label: Labels, probability: Values, bins: int = BINS, *, balanced: bool = False
) -> float:
    """Expected calibration error: mean distance of P(generated) from the generated share, over equal-width bins.

    It is above 0 even for true probabilities: :func:`engine.statistics.calibration_error` has its
    floor.

    Args:
        label: 1 generated, 0 real.
        probability: P(generated), 0 to 1.
        bins: How many.
        balanced: Weight both classes equally, whatever their numbers; torchmetrics' has no weights.
    """
    weights = class_weights(label) if balanced else np.full(len(label), 1 / len(label))
    place = np.minimum((probability * bins).astype(int), bins - 1)
    gap = np.bincount(place, weights * (probability - label), minlength=bins)
    return float(np.abs(gap).sum() / weights.sum())


def reliability(
    label: Labels, probability: Values, bins: int = BINS
) -> list[tuple[float, float, int]]:
    """Mean P(generated), share that is generated, and number of images of each bin that is not empty."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    return [
        (
            float(probability[place == index].mean()),
            float(label[place == index].mean()),
            int((place == index).sum()),
        )
        for index in range(bins)
        if (place == index).any()
    ]


def log_loss(label: Labels, probability: Values) -> float:
    """Mean negative log-likelihood; certain and wrong answers cost as much as P = 1e-12."""
    from sklearn.metrics import log_loss as loss

    return float(loss(label, np.clip(probability, 1e-12, 1 - 1e-12), labels=[0, 1]))


def brier(label: Labels, probability: Values) -> float:
    """Mean squared distance of P(generated) from the truth."""
    from sklearn.metrics import brier_score_loss

    return float(brier_score_loss(label, probability, labels=[0, 1]))
