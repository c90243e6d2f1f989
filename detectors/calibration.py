"""Platt scaling and verdict thresholds, fitted on held-out images."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from detectors.metrics import both_classes
from detectors.scores import Scores, sigmoid
from engine.files import write_text
from engine.records import read_json, to_json

Verdict = Literal["real", "unsure", "generated"]

FILE = "calibration.json"

MAX_ERROR_RATE = 0.05
"""Largest share of either class with a wrong verdict; "unsure" takes the rest."""


@dataclass(frozen=True)
class Calibration:
    """Platt scaling and verdict thresholds.

    Detectors are usually mis-offset, which temperature scaling cannot correct.

    Attributes:
        scale: Factor of the logit, above 0.
        bias: Offset of the scaled logit.
        real_below: Calibrated P(generated) below which the verdict is "real".
        generated_above: Calibrated P(generated) from which the verdict is "generated". Between the
            two it is "unsure".
        threshold_fpr_1: Threshold with a false positive rate of 1 % on the calibration set.
        threshold_fpr_5: Threshold with a false positive rate of 5 %.
        pictures: Number of images of the calibration set; 0 if not calibrated.

    Raises:
        ValueError: If a value is out of range.
    """

    scale: float = 1.0
    bias: float = 0.0
    real_below: float = 0.5
    generated_above: float = 0.5
    threshold_fpr_1: float | None = None
    threshold_fpr_5: float | None = None
    pictures: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.scale < np.inf or not np.isfinite(self.bias) or self.pictures < 0:
            msg = (
                "scale must be above 0, bias finite and pictures at least 0, "
                f"got {self.scale}, {self.bias} and {self.pictures}"
            )
            raise ValueError(msg)
        if not 0 <= self.real_below <= self.generated_above <= 1:
            msg = (
                "0 <= real_below <= generated_above <= 1 must hold, "
                f"got {self.real_below} and {self.generated_above}"
            )
            raise ValueError(msg)

    @classmethod
    def fit(cls, scores: Scores) -> Calibration:
        """Fit to the scores of a calibration set.

        Both classes have equal weight.

        Raises:
            ValueError: If the set holds one class only, or the detector ranks the classes the
                wrong way round.
        """
        if not both_classes(scores.label):
            msg = (
                "calibration needs real and generated images; "
                "the calibration set has one of them only"
            )
            raise ValueError(msg)
        scale, bias = _fit_platt(scores)
        probability = sigmoid(scale * scores.logit + bias)
        real = probability[scores.label == 0]
        generated = probability[scores.label == 1]
        generated_above = float(np.quantile(real, 1 - MAX_ERROR_RATE))
        real_below = float(np.quantile(generated, MAX_ERROR_RATE))
        # well separated classes need no "unsure": both thresholds meet in the middle
        if real_below > generated_above:
            middle = (generated_above + real_below) / 2
            generated_above = middle
            real_below = middle
        return cls(
            scale=scale,
            bias=bias,
            real_below=real_below,
            generated_above=generated_above,
            threshold_fpr_1=threshold_at_fpr(real, 0.01),
            threshold_fpr_5=threshold_at_fpr(real, 0.05),
            pictures=len(scores),
        )

    def probability(self, logit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the calibrated P(generated)."""
        return sigmoid(self.scale * logit + self.bias)

    def verdict(self, probability: float) -> Verdict:
        """Return the verdict on an image with this calibrated P(generated)."""
        if probability >= self.generated_above:
            return "generated"
        return "real" if probability < self.real_below else "unsure"

    def save(self, folder: Path) -> None:
        """Write ``calibration.json`` into a model folder."""
        write_text(folder / FILE, to_json(asdict(self)))

    @classmethod
    def open(cls, folder: Path) -> Calibration:
        """Read a model folder's calibration; the identity if missing.

        Raises:
            ValueError: If the file is damaged.
        """
        file = folder / FILE
        if not file.is_file():
            return cls()
        remedy = "fit it again with python -m detectors calibrate"
        names = {field.name for field in fields(cls)}
        if wrong := set(read_json(file, dict[str, Any], remedy)) ^ names:
            wrong_names = ", ".join(sorted(wrong))
            msg = f"{file}: not a calibration (unknown or missing: {wrong_names}); {remedy}"
            raise ValueError(msg)
        return read_json(file, cls, remedy)


def _fit_platt(scores: Scores) -> tuple[float, float]:
    """Fit Platt's scale and bias (Platt 1999) by weighted logistic regression.

    Raises:
        ValueError: If the scale is not above 0.
    """
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
        msg = (
            "the detector calls real images generated more often than generated ones; "
            "are the labels the wrong way round?"
        )
        raise ValueError(msg)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def threshold_at_fpr(real: NDArray[np.float64], rate: float) -> float:
    """Find the lowest threshold whose false positive rate is at most ``rate``.

    A score at or above the threshold is positive.

    Args:
        real: (N,) scores of real images.
        rate: Largest false positive rate, in [0, 1].
    """
    allowed = int(np.floor(rate * len(real)))
    descending = np.sort(real)[::-1]
    return float(np.nextafter(descending[allowed], np.inf)) if allowed < len(real) else 0.0
