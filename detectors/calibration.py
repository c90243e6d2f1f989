"""Calibration and thresholds: fitted on pictures that are used for nothing else, and stored beside the weights."""

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

TOLERATED = 0.05
"""Share of either class that may be judged wrongly; what cannot be judged within it is unsure."""


@dataclass(frozen=True)
class Calibration:
    """Platt's scale and bias, and where verdicts begin. A detector's usual error is an offset, which a temperature alone cannot mend.

    Attributes:
        scale: Of the logit.
        bias: Added to it.
        real_below: Calibrated P(generated) below which a picture is called real.
        generated_above: From which on it is called generated; between the two it is unsure.
        threshold_fpr_1: Above it are 1 % of the real pictures of the calibration set.
        threshold_fpr_5: Above it are 5 %.
        pictures: How many pictures it was fitted on; 0 for none.
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
            msg = f"scale must be above 0, bias finite and pictures at least 0, got {self.scale}, {self.bias} and {self.pictures}"
            raise ValueError(msg)
        if not 0 <= self.real_below <= self.generated_above <= 1:
            msg = f"0 <= real_below <= generated_above <= 1 must hold, got {self.real_below} and {self.generated_above}"
            raise ValueError(msg)

    @classmethod
    def fit(cls, scores: Scores) -> Calibration:
        """From a calibration set, both classes counting equally.

        Raises:
            ValueError: If it holds one class only.
        """
        from sklearn.linear_model import LogisticRegression

        if not both_classes(scores.label):
            msg = "calibration needs real and generated pictures; the calibration set has one of them only"
            raise ValueError(msg)
        # Platt's targets (1999): just short of 0 and 1, or classes that do not overlap would make the scale grow without end
        count = np.where(scores.label == 1, scores.label.sum(), (1 - scores.label).sum())
        right = (count + 1) / (count + 2)
        both, weight = np.tile(scores.logit, 2).reshape(-1, 1), len(scores) / (2 * count)
        targets, weights = (
            np.concatenate([scores.label, 1 - scores.label]),
            np.concatenate([weight * right, weight * (1 - right)]),
        )
        fitted = LogisticRegression(C=np.inf).fit(both, targets, sample_weight=weights)
        if fitted.coef_[0, 0] <= 0:
            msg = "the detector calls real pictures generated more often than generated ones; are the labels the wrong way round?"
            raise ValueError(msg)
        made = cls(
            scale=float(fitted.coef_[0, 0]), bias=float(fitted.intercept_[0]), pictures=len(scores)
        )
        probability = made.probability(scores.logit)
        real, generated = probability[scores.label == 0], probability[scores.label == 1]
        accused, missed = (
            float(np.quantile(real, 1 - TOLERATED)),
            float(np.quantile(generated, TOLERATED)),
        )
        if missed > accused:  # the classes are further apart than verdicts need: meet in the middle
            accused = missed = (accused + missed) / 2
        return cls(
            scale=made.scale,
            bias=made.bias,
            real_below=missed,
            generated_above=accused,
            threshold_fpr_1=threshold_at_fpr(real, 0.01),
            threshold_fpr_5=threshold_at_fpr(real, 0.05),
            pictures=len(scores),
        )

    def probability(self, logit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated P(generated)."""
        return sigmoid(self.scale * logit + self.bias)

    def verdict(self, probability: float) -> Verdict:
        """What to say of a picture with this calibrated P(generated)."""
        if probability >= self.generated_above:
            return "generated"
        return "real" if probability < self.real_below else "unsure"

    def save(self, folder: Path) -> None:
        """As ``calibration.json`` in a model folder."""
        write_text(folder / FILE, to_json(asdict(self)))

    @classmethod
    def open(cls, folder: Path) -> Calibration:
        """The one in a model folder; one that changes nothing if there is none.

        Raises:
            ValueError: If the file is damaged.
        """
        file = folder / FILE
        if not file.is_file():
            return cls()
        remedy = "fit it again with python -m detectors calibrate"
        if odd := set(read_json(file, dict[str, Any], remedy)) ^ {
            field.name for field in fields(cls)
        }:
            msg = f"{file}: not a calibration (unknown or missing: {', '.join(sorted(odd))}); {remedy}"
            raise ValueError(msg)
        return read_json(file, cls, remedy)


def threshold_at_fpr(real: NDArray[np.float64], rate: float) -> float:
    """The lowest threshold at or above which there are at most ``rate`` of these real pictures."""
    allowed = int(np.floor(rate * len(real)))
    ordered = np.sort(real)[::-1]
    return float(np.nextafter(ordered[allowed], np.inf)) if allowed < len(real) else 0.0
