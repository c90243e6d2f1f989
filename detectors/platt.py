"""Platt scaling: logits to probabilities."""

from __future__ import annotations

import numpy as np

from detectors.metrics import auc, both_classes
from detectors.scores import Scores


def fit_platt(scores: Scores) -> tuple[float, float]:
    """Fit Platt's scale and bias (Platt 1999) by weighted logistic regression.

    Raises:
        ValueError: If one class is missing, or the scale is not above 0.
    """
    if not both_classes(scores.label):
        msg = (
            "calibration needs real and generated images; the calibration set has one of them only"
        )
        raise ValueError(msg)
    from sklearn.linear_model import LogisticRegression

    # Platt's targets are just short of 0 and 1: separable classes would else have no finite scale.
    # A soft target t is one row labelled y of weight t and one labelled 1 - y of weight 1 - t.
    count = np.where(scores.label == 1, scores.label.sum(), (1 - scores.label).sum())
    target = (count + 1) / (count + 2)
    weight = len(scores) / (2 * count)
    logits = np.tile(scores.logit, 2).reshape(-1, 1)
    labels = np.concatenate([scores.label, 1 - scores.label])
    weights = np.concatenate([weight * target, weight * (1 - target)])
    fitted = LogisticRegression(C=np.inf).fit(logits, labels, sample_weight=weights)
    if fitted.coef_[0, 0] <= 0:
        area = auc(scores.label, scores.logit)
        msg = (
            "the detector calls real images generated more often than generated ones "
            f"(AUC {area:.3f}); are the labels the wrong way round? A score without training can "
            "point the other way for these images: its option generated says which"
        )
        raise ValueError(msg)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
