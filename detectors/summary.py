"""Record of a detector's test: ranking, accuracies, calibration, slices, the paper's table, and intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any, TypedDict

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors import metrics
from detectors.calibration import Calibration
from detectors.mpbench import Row, columns
from detectors.scores import Scores
from engine.statistics import Interval, bootstrap_interval, clusters

SLICES = ("generator", "subset", "family", "sampler", "codec")

FEWEST = 2
"""Images of a class below which a slice has no figure of it."""

FLIPPED = 0.4
"""AUC below which a test ranks so wrongly that its labels are more likely flipped than the detector that bad."""

Share = Annotated[float, Meta(ge=0, le=1)]
PerCent = Annotated[float, Meta(ge=0, le=100)]
Count = Annotated[int, Meta(ge=0)]


class Ranking(TypedDict):
    """Figures of a record that no threshold touches."""

    auc: Share | None


class AtHalf(TypedDict):
    """Figures of a record at P = 0.5."""

    balanced_accuracy: Share | None
    calibration_error: Share


class Worst(TypedDict):
    """The generator with the lowest AUC."""

    generator: str
    auc: Share


class Table(TypedDict):
    """MPBench's columns and averages, in per cent."""

    real: dict[str, PerCent | None]
    generated: dict[str, PerCent | None]
    real_average: PerCent | None
    generated_average: PerCent | None
    total: PerCent | None
    balanced: PerCent | None


class Oracle(TypedDict):
    """True-positive rates at thresholds chosen on the test itself."""

    tpr_at_fpr_1: Share | None


class Intervals(TypedDict):
    """95 % intervals."""

    auc: tuple[Share, Share] | None


class Record(TypedDict):
    """What is read of a ``summary.json``, which may be anybody's."""

    pictures: dict[str, Count]
    ranking: Ranking
    calibrated: AtHalf | None
    uncalibrated: AtHalf
    oracle: Oracle
    worst: Worst | None
    mpbench: Table
    intervals: Intervals | None


def summarise(
    scores: Scores, calibration: Calibration | None = None, resamples: int = 200, seed: int = 0
) -> dict[str, Any]:
    """The record of a test.

    Thresholds come from the calibration or are fixed at P = 0.5; none is chosen on the test itself, but for those under ``oracle``.

    Args:
        scores: Of the test pictures.
        calibration: Fitted on other pictures; the figures that need one are None without.
        resamples: Bootstrap samples of the intervals, drawn by caption where it is known, otherwise by picture; 0 for no intervals.
        seed: Of the bootstrap.
    """
    label, probability = scores.label, scores.probability
    record: dict[str, Any] = {
        "pictures": {"real": int((label == 0).sum()), "generated": int(label.sum())}
    }
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
    record["worst"] = worst(record["slices"]["generator"])
    record["mpbench"] = table(scores)
    record["intervals"] = intervals(scores, resamples, seed) if resamples else None
    return record


def judged(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record's figures at P = 0.5, calibrated where they are."""
    return dict(record["calibrated"] or record["uncalibrated"])


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
    """How true the probabilities are."""
    return {
        "calibration_error": metrics.calibration_error(label, probability),
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
        mine = values == value
        chosen = mine if (scores.label[mine] == 0).any() else mine | (scores.label == 0)
        part = scores.where(chosen)
        counts = {"real": int((part.label == 0).sum()), "generated": int(part.label.sum())}
        figures = ranking(part) | at_threshold(part.label, part.probability, 0.5)
        few = {kind for kind, count in counts.items() if count < FEWEST}
        if few:
            of_one_class = {"threshold", "real_accuracy", "generated_accuracy"} - {
                f"{kind}_accuracy" for kind in few
            }
            figures = {
                key: value if key in of_one_class else None for key, value in figures.items()
            }
        found[str(value)] = counts | figures
    return found


def worst(generators: dict[str, dict[str, Any]], few: int = 3) -> dict[str, Any] | None:
    """The generator that is told worst from photographs, by AUC, and the mean of the worst few."""
    known = sorted(
        (facts["auc"], name) for name, facts in generators.items() if facts["auc"] is not None
    )
    if not known:
        return None
    return {
        "generator": known[0][1],
        "auc": known[0][0],
        "mean_of_worst_3": float(np.mean([value for value, _ in known[:few]])),
    }


def table(scores: Scores) -> dict[str, Any]:
    """MPBench's columns at P = 0.5, in per cent, with the paper's averages; None for sets that are not in the test."""

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
    return {"real": row.real, "generated": row.generated} | averages


def intervals(scores: Scores, resamples: int, seed: int) -> dict[str, Interval | None]:
    """95 % intervals of AUC and balanced accuracy at P = 0.5, by a bootstrap over :func:`resampling_units`."""
    label, logit, probability = scores.label, scores.logit, scores.probability
    units = clusters(resampling_units(scores))

    def interval(metric: Callable[[NDArray[np.int64]], float | None]) -> Interval | None:
        def statistic(drawn: NDArray[np.int64]) -> float:
            value = metric(np.concatenate([units[unit] for unit in drawn]))
            return np.nan if value is None else value

        return bootstrap_interval(statistic, len(units), resamples=resamples, seed=seed)

    if not metrics.both_classes(label):
        return {"auc": None, "balanced_accuracy": None}
    return {
        "auc": interval(lambda rows: metrics.auc(label[rows], logit[rows])),
        "balanced_accuracy": interval(
            lambda rows: metrics.balanced_accuracy(label[rows], probability[rows], 0.5)
        ),
    }


def resampling_units(scores: Scores) -> NDArray[np.str_]:
    """Name of each image's bootstrap unit: its caption if it has one, else its subset and path, else the image itself.

    A reconstruction has its original's subset and path as caption, so that both are resampled together. Shards of version 0.1
    have the bare path there; an original is then named by it, too.
    """
    captions, paths, subsets = (
        scores.facts[name] for name in ("caption_id", "source_path", "subset")
    )
    places = np.char.add("#", np.arange(len(scores)).astype(str))
    qualified = np.char.add(np.char.add(subsets, "/"), paths)
    files = np.where(np.isin(paths, captions), paths, qualified)
    return np.where(captions != "", captions, np.where(paths != "", files, places))
