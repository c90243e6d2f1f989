"""What a test says about a detector, in one record: the paper's table, ranking, calibration, the worst cases, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import metrics
from detectors.calibration import Calibration
from detectors.mpbench import Row, columns
from detectors.scores import Scores

SLICES = ("generator", "subset", "family", "sampler", "codec")


def summarise(scores: Scores, calibration: Calibration | None = None, resamples: int = 200, seed: int = 0) -> dict[str, Any]:
    """The record of a test.

    Thresholds come from the calibration or are fixed at P = 0.5; none is chosen on the test itself, but for those under ``oracle``.

    Args:
        scores: Of the test pictures.
        calibration: Fitted on other pictures; the figures that need one are None without.
        resamples: Bootstrap samples of the intervals, drawn by caption where it is known, otherwise by picture; 0 for no intervals.
        seed: Of the bootstrap.
    """
    label, probability = scores.label, scores.probability
    record: dict[str, Any] = {"pictures": {"real": int((label == 0).sum()), "generated": int(label.sum())}}
    record["ranking"] = ranking(scores)
    record["uncalibrated"] = at_threshold(label, probability, 0.5) | quality(label, probability)
    record["calibrated"] = None
    if calibration is not None and calibration.pictures:
        better = calibration.probability(scores.logit)
        record["calibrated"] = at_threshold(label, better, 0.5) | quality(label, better)
        for name, threshold in (("1", calibration.threshold_fpr_1), ("5", calibration.threshold_fpr_5)):
            if threshold is not None:
                record["calibrated"][f"at_fpr_{name}_of_calibration"] = at_threshold(label, better, threshold)
        record["calibration"] = asdict(calibration)
    record["oracle"] = {f"tpr_at_fpr_{int(rate * 100)}": metrics.tpr_at_fpr(label, scores.logit, rate) for rate in (0.01, 0.05, 0.10)}
    record["slices"] = {name: slices(scores, name) for name in SLICES}
    record["worst"] = worst(record["slices"]["generator"])
    record["mpbench"] = table(scores)
    record["intervals"] = intervals(scores, resamples, seed) if resamples else None
    return record


def judged(record: dict[str, Any]) -> dict[str, Any]:
    """A record's figures at P = 0.5, calibrated where they are."""
    return dict(record["calibrated"] or record["uncalibrated"])


def auc_interval(record: dict[str, Any]) -> tuple[float, float] | None:
    """A record's interval of the AUC, if it has one."""
    return (record["intervals"] or {}).get("auc")


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


def at_threshold(label: NDArray[np.int64], probability: NDArray[np.float64], threshold: float) -> dict[str, float | None]:
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
        "balanced_calibration_error": metrics.calibration_error(label, probability, balanced=True) if metrics.both_classes(label) else None,
        "log_loss": metrics.log_loss(label, probability),
        "brier": metrics.brier(label, probability),
        "reliability": metrics.reliability(label, probability),
    }


def slices(scores: Scores, name: str) -> dict[str, dict[str, Any]]:
    """For each value of a fact: its generated pictures against all real ones, or, where it has real ones itself, against those."""
    values = scores.facts[name]
    found = {}
    for value in sorted(set(values) - {""}):
        mine = values == value
        chosen = mine if (scores.label[mine] == 0).any() else mine | (scores.label == 0)
        part = scores.where(chosen)
        counts = {"real": int((part.label == 0).sum()), "generated": int(part.label.sum())}
        found[str(value)] = counts | ranking(part) | at_threshold(part.label, part.probability, 0.5)
    return found


def worst(generators: dict[str, dict[str, Any]], few: int = 3) -> dict[str, Any] | None:
    """The generator that is told worst from photographs, by AUC, and the mean of the worst few."""
    known = sorted((facts["auc"], name) for name, facts in generators.items() if facts["auc"] is not None)
    if not known:
        return None
    return {"generator": known[0][1], "auc": known[0][0], "mean_of_worst_3": float(np.mean([value for value, _ in known[:few]]))}


def table(scores: Scores) -> dict[str, Any]:
    """MPBench's columns at P = 0.5, in per cent, with the paper's averages; None for sets that are not in the test."""

    def column(name: str, of: int) -> float | None:
        mine = (scores.facts["column"] == name) & (scores.label == of)
        share = metrics.recall(scores.label[mine], scores.probability[mine], 0.5, of) if mine.any() else None
        return None if share is None else 100 * share

    row = Row({name: column(name, 0) for name in columns("real")}, {name: column(name, 1) for name in columns("generated")})
    averages = {name: getattr(row, name) for name in ("real_average", "generated_average", "total", "balanced")}
    return {"real": row.real, "generated": row.generated} | averages


def intervals(scores: Scores, resamples: int, seed: int) -> dict[str, tuple[float, float] | None]:
    """95 % percentile intervals of AUC and balanced accuracy at P = 0.5."""
    label, logit = scores.label, scores.logit
    wanted: dict[str, Callable[[Scores], float | None]] = {
        "auc": lambda part: metrics.auc(part.label, part.logit),
        "balanced_accuracy": lambda part: metrics.balanced_accuracy(part.label, part.probability, 0.5),
    }
    if not metrics.both_classes(label):
        return dict.fromkeys(wanted)
    drawn: dict[str, list[float]] = {name: [] for name in wanted}
    for chosen in bootstrap(scores, resamples, seed):
        part = Scores(label[chosen], logit[chosen], {})
        for name, measure in wanted.items():
            if (value := measure(part)) is not None:
                drawn[name].append(value)
    ends = {name: np.quantile(values, (0.025, 0.975)) if values else None for name, values in drawn.items()}
    return {name: None if pair is None else (float(pair[0]), float(pair[1])) for name, pair in ends.items()}


def bootstrap(scores: Scores, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Indices of resampled pictures; those of one caption come and go together, as do a picture and its reconstruction."""
    captions, paths = scores.facts["caption_id"], scores.facts["source_path"]
    places = np.char.add("#", np.arange(len(scores)).astype(str))
    names = np.where(captions != "", captions, np.where(paths != "", paths, places))
    _, group = np.unique(names, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(group.max() + 2))
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        groups = rng.integers(0, len(starts) - 1, len(starts) - 1)
        yield np.concatenate([order[starts[index] : starts[index + 1]] for index in groups])
