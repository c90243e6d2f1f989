"""Figures of merit of real-or-generated detectors. What is undefined, as with one class only, is None, never 0 or 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

Labels = NDArray[np.int64]
Values = NDArray[np.float64]

BINS = 15


def both_classes(label: Labels) -> bool:
    """Whether there are real and generated pictures."""
    return bool(label.any() and not label.all())


def auc(label: Labels, score: Values) -> float | None:
    """Area under the ROC curve; ties count one half."""
    return float(roc_auc_score(label, score)) if both_classes(label) else None


def average_precision(label: Labels, score: Values) -> float | None:
    """Average precision of finding the generated ones; it depends on their share."""
    return float(average_precision_score(label, score)) if both_classes(label) else None


def balanced_average_precision(label: Labels, score: Values) -> float | None:
    """Average precision as if both classes were equally many."""
    if not both_classes(label):
        return None
    weights = np.where(label == 1, 0.5 / label.mean(), 0.5 / (1 - label.mean()))
    return float(average_precision_score(label, score, sample_weight=weights))


def accuracy(label: Labels, score: Values, threshold: float) -> float:
    """Share of pictures on the right side; at the threshold itself a picture counts as generated."""
    return float(((score >= threshold) == (label == 1)).mean())


def recall(label: Labels, score: Values, threshold: float, of: int) -> float | None:
    """Share of the generated (``of=1``) or real (``of=0``) pictures that are recognised."""
    chosen = label == of
    return float(((score[chosen] >= threshold) == bool(of)).mean()) if chosen.any() else None


def balanced_accuracy(label: Labels, score: Values, threshold: float) -> float | None:
    """Mean of both recalls."""
    parts = [recall(label, score, threshold, of) for of in (0, 1)]
    return None if None in parts else float(np.mean([part for part in parts if part is not None]))


def tpr_at_fpr(label: Labels, score: Values, rate: float) -> float | None:
    """Largest share of generated pictures found while at most ``rate`` of the real ones are accused, on these very pictures."""
    if not both_classes(label):
        return None
    false, true, _ = roc_curve(label, score)
    return float(true[false <= rate].max())


def equal_error_rate(label: Labels, score: Values) -> float | None:
    """The error where as large a share of real pictures is accused as of generated ones is missed, interpolated."""
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
    """Weights that give both classes half the sum, 1 together."""
    share = label.mean()
    return np.where(label == 1, 0.5 / max(share, 1e-12), 0.5 / max(1 - share, 1e-12)) / len(label)


def calibration_error(label: Labels, probability: Values, bins: int = BINS, *, balanced: bool = False) -> float:
    """Expected calibration error: mean distance between P(generated) and the share that is, over equal-width bins.

    Args:
        label: 1 generated, 0 real.
        probability: P(generated).
        bins: How many.
        balanced: Weight both classes equally, whatever their numbers.
    """
    weights = class_weights(label) if balanced else np.full(len(label), 1 / len(label))
    place = np.minimum((probability * bins).astype(int), bins - 1)
    gap = np.bincount(place, weights * (probability - label), minlength=bins)
    return float(np.abs(gap).sum() / weights.sum())


def reliability(label: Labels, probability: Values, bins: int = BINS) -> list[tuple[float, float, int]]:
    """For each bin that is not empty: mean P(generated), share that is generated, pictures."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    return [
        (float(probability[place == index].mean()), float(label[place == index].mean()), int((place == index).sum()))
        for index in range(bins)
        if (place == index).any()
    ]


def log_loss(label: Labels, probability: Values) -> float:
    """Mean negative log-likelihood."""
    right = np.where(label == 1, probability, 1 - probability)
    return float(-np.log(np.clip(right, 1e-12, 1)).mean())


def brier(label: Labels, probability: Values) -> float:
    """Mean squared distance between P(generated) and the truth."""
    return float(np.square(probability - label).mean())
