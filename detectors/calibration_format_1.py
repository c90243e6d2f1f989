"""Reader of calibrations of the first format, whose thresholds are quantiles."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from detectors.scores import log_odds
from engine.records import read_json

Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True)
class Format1:
    """Content of a ``calibration.json`` of the first format; thresholds are on P."""

    scale: float
    bias: float
    real_below: Share
    generated_above: Share
    threshold_fpr_1: Share | None
    threshold_fpr_5: Share | None
    pictures: int


def read_format_1(file: Path, remedy: str) -> dict[str, Any]:
    """Read a calibration of the first format as values of the present one.

    Its verdict thresholds are the 5 % quantiles of the calibration set, which bound no error rate
    on new images.

    Args:
        file: The file.
        remedy: Advice for a damaged file; the last part of the error message.

    Raises:
        ValueError: If the file is damaged.
    """
    names = {field.name for field in fields(Format1)}
    if wrong := set(read_json(file, dict[str, Any], remedy)) ^ names:
        wrong_names = ", ".join(sorted(wrong))
        msg = f"{file}: not a calibration (unknown or missing: {wrong_names}); {remedy}"
        raise ValueError(msg)
    old = read_json(file, Format1, remedy)
    points = []
    if old.pictures:
        if old.threshold_fpr_1 is not None:
            points.append(_point(old, 0.01, None, old.threshold_fpr_1))
        points.append(_point(old, 0.05, old.real_below, old.generated_above))
    return {
        "scale": old.scale,
        "bias": old.bias,
        "images": old.pictures,
        "points": points,
        "conformal": False,
    }


def _point(
    old: Format1, rate: float, real_below: float | None, generated_above: float
) -> dict[str, Any]:
    """Convert thresholds on P to an operating point's on the logit."""

    def logit(probability: float | None) -> float | None:
        """Return the logit with a calibrated P."""
        if probability is None or not old.scale > 0:
            return None
        return (log_odds(probability) - old.bias) / old.scale

    return {
        "max_fpr": rate,
        "real_below": logit(real_below),
        "generated_above": logit(generated_above),
    }
