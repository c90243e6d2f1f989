"""Record of a detector's test.

Ranking, accuracies, calibration, slices, the paper's table, and intervals.
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
    chosen,
    intervals,
    oracle_interval,
    resampling_units,
    worst,
)
from engine.statistics import calibration_error

SLICES = ("generator", "subset", "family", "sampler", "codec")

FEWEST = 2
"""Images of a class below which a slice has no figure of it."""

FLIPPED = 0.4
"""AUC below which a test ranks so wrongly that its labels are more likely flipped than the detector that bad."""


def summarise(
    scores: Scores, calibration: Calibration | None = None, resamples: int = 200, seed: int = 0
) -> dict[str, Any]:
    """The record of a test.

    Thresholds come from the calibration or are fixed at P = 0.5; none is chosen on the test itself,
    but for those under ``oracle``.

    Args:
        scores: Of the test pictures.
        calibration: Fitted on other pictures; the figures that need one are None without.
        resamples: Bootstrap samples of the worst generator's correction and of the oracle's rate,
            drawn by caption where it is known, otherwise by picture; 0 for no intervals at all.
        seed: Of the bootstrap.
    """
    label, probability = scores.label, scores.probability
    record: dict[str, Any] = {"pictures": counts(scores)}
    record["ranking"] = ranking(scores)
    record["uncalibrated"] = at_threshold(label, probability, 0.5) | quality(label, probability)
    record["calibrated"] = None
    if calibration is not None and calibration.pictures:
        better = calibration.probability(scores.logit)
        record["calibrated"] = at_threshold(label, better, 0.5) | quality(label, better)
        for name, threshold in (
            ("1", calibration.threshold_fpr_1),
            ("5", calibration.threshold_fpr_5),
        ):
            if threshold is not None:
                record["calibrated"][f"at_fpr_{name}_of_calibration"] = at_threshold(
                    label, better, threshold
                )
        record["calibration"] = asdict(calibration)
    record["oracle"] = {
        f"tpr_at_fpr_{int(rate * 100)}": metrics.tpr_at_fpr(label, scores.logit, rate)
        for rate in (0.01, 0.05, 0.10)
    }
    record["slices"] = {name: slices(scores, name) for name in SLICES}
    record["worst"] = worst(scores, record["slices"]["generator"], resamples, seed)
    record["mpbench"] = table(scores)
    record["intervals"] = None
    if resamples:
        oracle = oracle_interval(scores, 0.01, resamples, seed)
        record["intervals"] = intervals(scores) | {"oracle_tpr_at_fpr_1": oracle}
        if calibration is not None and record["calibrated"]:
            shifted = calibration.scale * scores.logit + calibration.bias
            record["calibrated"]["intervals"] = intervals(Scores(label, shifted, scores.facts))
    return record


def counts(scores: Scores) -> dict[str, int]:
    """Number of real and of generated images.

    Of people's answers, distinct images, people and answers.
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


def judged(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record's figures at P = 0.5, calibrated where they are."""
    return dict(record["calibrated"] or record["uncalibrated"])


def interval_of(record: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """A record's interval of a figure of :func:`judged`: calibrated where that is."""
    calibrated = (record["calibrated"] or {}).get("intervals")
    return (calibrated or (not record["calibrated"] and record["intervals"]) or {}).get(name)


def auc_interval(record: Mapping[str, Any]) -> tuple[float, float] | None:
    """A record's interval of the AUC, if it has one."""
    return (record["intervals"] or {}).get("auc")


def flipped(record: Mapping[str, Any]) -> str:
    """What to say of a test whose labels seem flipped; empty if they do not."""
    auc, interval = record["ranking"]["auc"], auc_interval(record)
    if auc is None or auc >= FLIPPED or (interval is not None and interval[1] >= 0.5):
        return ""
    return (
        f"AUC {auc:.3f} is far below 0.5: its labels seem flipped (1 must mean generated, 0 real)"
    )


def figure(value: float | None) -> str:
    """A share in three digits; a dash where it is undefined."""
    return "-" if value is None else f"{value:.3f}"


def ranking(scores: Scores) -> dict[str, float | None]:
    """Figures that no threshold touches."""
    label, logit = scores.label, scores.logit
    return {
        "auc": metrics.auc(label, logit),
        "average_precision": metrics.average_precision(label, logit),
        "balanced_average_precision": metrics.balanced_average_precision(label, logit),
        "equal_error_rate": metrics.equal_error_rate(label, logit),
    }


def at_threshold(
    label: NDArray[np.int64], probability: NDArray[np.float64], threshold: float
) -> dict[str, float | None]:
    """Accuracies at a threshold."""
    return {
        "threshold": threshold,
        "accuracy": metrics.accuracy(label, probability, threshold),
        "real_accuracy": metrics.recall(label, probability, threshold, 0),
        "generated_accuracy": metrics.recall(label, probability, threshold, 1),
        "balanced_accuracy": metrics.balanced_accuracy(label, probability, threshold),
    }


def quality(label: NDArray[np.int64], probability: NDArray[np.float64]) -> dict[str, Any]:
    """How true the probabilities are, beside what chance makes of probabilities that are exactly true."""
    found = calibration_error(label, probability)
    return {
        "calibration_error": metrics.calibration_error(label, probability),
        "calibration_error_floor": found.floor,
        "calibration_error_floor_97": found.floor_high,
        "debiased_rms_calibration_error": found.rms,
        "balanced_calibration_error": metrics.calibration_error(label, probability, balanced=True)
        if metrics.both_classes(label)
        else None,
        "log_loss": metrics.log_loss(label, probability),
        "brier": metrics.brier(label, probability),
        "reliability": metrics.reliability(label, probability),
    }


def slices(scores: Scores, name: str) -> dict[str, dict[str, Any]]:
    """Figures for each value of a fact: its generated images against its own real ones, or against all if it has none.

    Figures of fewer than :data:`FEWEST` images of a class are None.
    """
    values = scores.facts[name]
    found = {}
    for value in sorted(set(values) - {""}):
        part = scores.where(chosen(scores, name, value))
        numbers = {"real": int((part.label == 0).sum()), "generated": int(part.label.sum())}
        figures = ranking(part) | at_threshold(part.label, part.probability, 0.5)
        few = {kind for kind, count in numbers.items() if count < FEWEST}
        if few:
            of_one_class = {"threshold", "real_accuracy", "generated_accuracy"} - {
                f"{kind}_accuracy" for kind in few
            }
            figures = {
                key: value if key in of_one_class else None for key, value in figures.items()
            }
        bounds = {
            key: bound if figures[key] is not None else None
            for key, bound in intervals(part).items()
        }
        found[str(value)] = numbers | figures | {"intervals": bounds}
    return found


def table(scores: Scores) -> dict[str, Any]:
    """MPBench's columns at P = 0.5, in per cent, with the paper's averages.

    None for sets that are not in the test.
    """

    def column(name: str, of: int) -> float | None:
        mine = (scores.facts["column"] == name) & (scores.label == of)
        share = (
            metrics.recall(scores.label[mine], scores.probability[mine], 0.5, of)
            if mine.any()
            else None
        )
        return None if share is None else 100 * share

    row = Row(
        {name: column(name, 0) for name in columns("real")},
        {name: column(name, 1) for name in columns("generated")},
    )
    averages = {
        name: getattr(row, name)
        for name in ("real_average", "generated_average", "total", "balanced")
    }
    bounds = {
        name: column_bounds(scores, name, of)
        for of, kind in enumerate(("real", "generated"))
        for name in columns(kind)
    }
    return {"real": row.real, "generated": row.generated} | averages | {"bounds": bounds}


def column_bounds(scores: Scores, name: str, of: int) -> tuple[float, float, int] | None:
    """Interval of a column's accuracy in per cent, and its number of images; None without an interval.

    Args:
        scores: Of all images.
        name: The column.
        of: Its class, 0 for real and 1 for generated.
    """
    mine = (scores.facts["column"] == name) & (scores.label == of)
    if not mine.any():
        return None
    part = scores.where(mine)
    found = accuracy_interval(part, resampling_units(part), of)
    return None if found is None else (100 * found.low, 100 * found.high, int(mine.sum()))
