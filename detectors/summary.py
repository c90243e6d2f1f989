"""Record of a detector's test.

It holds ranking metrics, accuracies, calibration, slices, MPBench's table, and intervals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import metrics
from detectors.calibration import Calibration
from detectors.mpbench import Row, columns
from detectors.scores import Scores
from detectors.uncertainty import (
    accuracy_interval,
    intervals,
    oracle_interval,
    resampling_units,
    slice_mask,
    worst_generator,
)
from detectors.verdicts import verdict_table
from engine.statistics import calibration_error

SLICES = ("generator", "subset", "family", "sampler", "codec")

MIN_CLASS_IMAGES = 2
"""Least number of images of a class for a slice's figures of it."""

FLIPPED_AUC = 0.4
"""AUC below which flipped labels are a likelier cause than a bad detector."""


def summarise(
    scores: Scores, calibration: Calibration | None = None, resamples: int = 200, seed: int = 0
) -> dict[str, Any]:
    """Compute the record of a test.

    Thresholds come from the calibration or are fixed at P = 0.5. Only those under ``oracle`` are
    chosen on the test itself. Slices are at the calibrated P if there is one; MPBench's table is at
    the network's own, as the paper's.

    Args:
        scores: Scores of the test images.
        calibration: Calibration that was fitted on other images; without it the figures that need
            one are None.
        resamples: Bootstrap samples for the correction of the worst generator and for the oracle's
            rate. They are drawn by caption if it is known, otherwise by image. 0 gives no
            intervals at all.
        seed: Seed of the bootstrap.
    """
    label = scores.label
    probability = scores.probability
    record: dict[str, Any] = {"pictures": counts(scores)}
    record["ranking"] = ranking(scores)
    record["uncalibrated"] = at_threshold(label, probability, 0.5) | quality(label, probability)
    record["calibrated"] = None
    record["verdicts"] = record["max_fpr"] = None
    log_odds = scores
    if calibration is not None and calibration.images:
        shifted = calibration.scale * scores.logit + calibration.bias
        log_odds = Scores(label, shifted, scores.facts)
        calibrated = log_odds.probability
        record["calibrated"] = at_threshold(label, calibrated, 0.5) | quality(label, calibrated)
        record["calibration"] = asdict(calibration)
        record["verdicts"] = verdict_table(scores, calibration)
        record["max_fpr"] = None if calibration.point is None else calibration.point.max_fpr
    record["oracle"] = {
        f"tpr_at_fpr_{int(rate * 100)}": metrics.tpr_at_fpr(label, scores.logit, rate)
        for rate in (0.01, 0.05, 0.10)
    }
    record["slices"] = {name: slices(log_odds, name) for name in SLICES}
    record["worst"] = worst_generator(scores, record["slices"]["generator"], resamples, seed)
    record["mpbench"] = table(scores)
    record["intervals"] = None
    if resamples:
        oracle = oracle_interval(scores, 0.01, resamples, seed)
        record["intervals"] = intervals(scores) | {"oracle_tpr_at_fpr_1": oracle}
        if record["calibrated"]:
            record["calibrated"]["intervals"] = intervals(log_odds)
    return record


def counts(scores: Scores) -> dict[str, int]:
    """Count the real and the generated images.

    If people gave the scores: distinct images, people and answers.
    """
    people = np.unique(scores.facts["participant"])
    if not people.astype(bool).any():
        return {
            "real": int((scores.label == 0).sum()),
            "generated": int(scores.label.sum()),
        }
    units = resampling_units(scores)
    distinct = {
        kind: len(np.unique(units[scores.label == of]))
        for of, kind in enumerate(("real", "generated"))
    }
    return distinct | {"people": len(people), "answers": len(scores)}


def calibrated_metrics(record: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of a record at P = 0.5.

    They are calibrated if the record has calibrated ones.
    """
    return dict(record["calibrated"] or record["uncalibrated"])


def interval_of(record: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """Interval of one of the :func:`calibrated_metrics`; None if the record has none."""
    figures = record["calibrated"]
    bounds = figures.get("intervals") if figures else record["intervals"]
    return (bounds or {}).get(name)


def auc_interval(record: Mapping[str, Any]) -> tuple[float, float] | None:
    """Interval of a record's AUC; None if the record has none."""
    return (record["intervals"] or {}).get("auc")


def flipped_labels(record: Mapping[str, Any]) -> str:
    """Warning that a test's labels seem flipped; empty if they do not."""
    auc = record["ranking"]["auc"]
    interval = auc_interval(record)
    if auc is None or auc >= FLIPPED_AUC or (interval is not None and interval[1] >= 0.5):
        return ""
    return (
        f"AUC {auc:.3f} is far below 0.5: its labels seem flipped (1 must mean generated, 0 real)"
    )


def figure(value: float | None) -> str:
    """Format a share with three digits; a dash if it is undefined."""
    return "-" if value is None else f"{value:.3f}"


def ranking(scores: Scores) -> dict[str, float | None]:
    """Metrics without a threshold."""
    label = scores.label
    logit = scores.logit
    return {
        "auc": metrics.auc(label, logit),
        "average_precision": metrics.average_precision(label, logit),
        "balanced_average_precision": metrics.balanced_average_precision(label, logit),
        "equal_error_rate": metrics.equal_error_rate(label, logit),
    }


def at_threshold(
    label: NDArray[np.int64], probability: NDArray[np.float64], threshold: float
) -> dict[str, float | None]:
    """Accuracies at a threshold.

    Args:
        label: (N,) 1 generated, 0 real.
        probability: (N,) P(generated), 0 to 1.
        threshold: Least P(generated) of an image that counts as generated, 0 to 1.
    """
    return {
        "threshold": threshold,
        "accuracy": metrics.accuracy(label, probability, threshold),
        "real_accuracy": metrics.recall(label, probability, threshold, 0),
        "generated_accuracy": metrics.recall(label, probability, threshold, 1),
        "balanced_accuracy": metrics.balanced_accuracy(label, probability, threshold),
    }


def quality(label: NDArray[np.int64], probability: NDArray[np.float64]) -> dict[str, Any]:
    """Calibration error, log loss and Brier score of probabilities.

    The floor is the calibration error that chance gives perfectly calibrated probabilities.
    """
    error = calibration_error(label, probability)
    balanced = None
    if metrics.both_classes(label):
        balanced = metrics.calibration_error(label, probability, balanced=True)
    return {
        "calibration_error": metrics.calibration_error(label, probability),
        "calibration_error_floor": error.floor,
        "calibration_error_floor_97": error.floor_high,
        "debiased_rms_calibration_error": error.rms,
        "balanced_calibration_error": balanced,
        "log_loss": metrics.log_loss(label, probability),
        "brier": metrics.brier(label, probability),
        "reliability": metrics.reliability(label, probability),
    }


def slices(scores: Scores, name: str) -> dict[str, dict[str, Any]]:
    """Figures of the images with each value of a fact.

    A value's generated images are compared with its own real ones, or with all real images if it
    has none. A figure over fewer than :data:`MIN_CLASS_IMAGES` images of a class is None.
    """
    parts = {}
    for value in sorted(set(scores.facts[name]) - {""}):
        part = scores.where(slice_mask(scores, name, value))
        numbers = {"real": int((part.label == 0).sum()), "generated": int(part.label.sum())}
        figures = ranking(part) | at_threshold(part.label, part.probability, 0.5)
        few = {kind for kind, count in numbers.items() if count < MIN_CLASS_IMAGES}
        if few:
            figures = _of_one_class(figures, few)

        # A figure that is None has no interval either.
        bounds = intervals(part)
        for key in bounds:
            if figures[key] is None:
                bounds[key] = None
        parts[str(value)] = numbers | figures | {"intervals": bounds}
    return parts


def _of_one_class(figures: Mapping[str, float | None], few: set[str]) -> dict[str, float | None]:
    """Set figures that need a too small class to None."""
    valid = {"threshold", "real_accuracy", "generated_accuracy"}
    valid -= {f"{kind}_accuracy" for kind in few}
    return {key: value if key in valid else None for key, value in figures.items()}


def table(scores: Scores) -> dict[str, Any]:
    """MPBench's columns at P = 0.5, in per cent, with its averages.

    A column is None if the test has no images of its set.
    """
    row = Row(
        {name: _column(scores, name, 0) for name in columns("real")},
        {name: _column(scores, name, 1) for name in columns("generated")},
    )
    bounds = {name: column_bounds(scores, name, 0) for name in columns("real")}
    bounds |= {name: column_bounds(scores, name, 1) for name in columns("generated")}
    return row.record() | {"bounds": bounds}


def _column(scores: Scores, name: str, of: int) -> float | None:
    """Accuracy of a column in per cent; None without images."""
    mask = _in_column(scores, name, of)
    if not mask.any():
        return None
    part = scores.where(mask)
    share = metrics.recall(part.label, part.probability, 0.5, of)
    return None if share is None else 100 * share


def _in_column(scores: Scores, name: str, of: int) -> NDArray[np.bool_]:
    """Mask of a column's images of one class, (N,)."""
    return (scores.facts["column"] == name) & (scores.label == of)


def column_bounds(scores: Scores, name: str, of: int) -> tuple[float, float, int] | None:
    """Interval, in per cent, of a column's accuracy, and its size.

    Args:
        scores: Scores of all images.
        name: Name of the column.
        of: Class of the column, 0 for real and 1 for generated.

    Returns:
        Low end, high end and number of images; None without an interval.
    """
    mask = _in_column(scores, name, of)
    if not mask.any():
        return None
    part = scores.where(mask)
    interval = accuracy_interval(part, resampling_units(part), of)
    if interval is None:
        return None
    return 100 * interval.low, 100 * interval.high, len(part)
