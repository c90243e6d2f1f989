"""``python -m detectors robustness``.

What a detector's answers are worth after edits, and once both classes are coded alike.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.fake2m.facts import read_facts
from datamodules.shards import local_shards
from detectors import metrics
from detectors.calibration import Calibration
from detectors.detector import load_detector
from detectors.scores import Scores
from detectors.scoring import (
    OPTIONS,
    Answers,
    Question,
    ScoreJob,
    detector_settings,
    find_stored,
    score,
)
from detectors.uncertainty import intervals, resampling_units, share_over_units
from engine.files import write_bytes
from engine.job import JobOptions
from engine.manifest import read_manifest, write_manifest
from engine.statistics import Interval, auc_difference_interval
from engine.tables import write_table
from images.transforms import ROBUSTNESS, Chain, Edit
from images.transforms.codecs import JPEG, RandomJPEG
from images.transforms.geometry import CenterSquare

FIXED_QUALITY = 96
"""JPEG quality of the track that codes everything once, and of aligned pictures where the real ones are no JPEGs."""

Row = dict[str, Any]


def tracks(urls: Sequence[str]) -> dict[str, Edit]:
    """Three ways to show the same pictures.

    As they are; both classes with equal sizes and the real ones' qualities; all as one JPEG.
    """
    sides, found = [], []
    for shard in local_shards(urls):
        for _, record in read_facts(shard):
            sides.append(min(record["width"], record["height"]))
            if record["label"] == 0 and record["jpeg_quality"]:
                found.append(record["jpeg_quality"])
    side = int(
        np.percentile(sides, 5)
    )  # one thumbnail must not shrink all the others; the few smaller ones stay smaller
    qualities = (
        tuple(np.percentile(found, np.arange(0.5, 100), method="nearest").astype(int).tolist())
        if found
        else (FIXED_QUALITY,)
    )
    aligned = Chain((CenterSquare(side), RandomJPEG(qualities)))
    return {"native": Chain(()), "aligned": aligned, "all JPEG": JPEG(FIXED_QUALITY)}


def sweep(
    name: str,
    data: list[str],
    output: Path,
    edits: Mapping[str, Mapping[str, Edit]] | None = None,
    options: JobOptions = OPTIONS,
) -> tuple[list[Row], Answers] | None:
    """Score every image after every edit, and write ``robustness.csv`` and ``robustness.svg``; a stopped sweep goes on edit by edit.

    Args:
        name: The detector's folder or Hub id.
        data: Patterns of shards that are here.
        output: Folder of the results.
        edits: By kind and level; :data:`images.transforms.suites.ROBUSTNESS` and the three tracks
            if None.
        options: How it runs.

    Returns:
        The rows and the answers; None on every process but the first.

    Raises:
        FileNotFoundError: If the detector or the shards are not there.
        ValueError: If the folder holds the sweep of another detector, or no image can be scored as
            it is.
    """
    detector = load_detector(name)
    shards = find_stored([detector], data)
    wanted = {"track": tracks(data)} | dict(edits or ROBUSTNESS)
    asked = {
        (kind, level): Question(f"{kind}, {level}", detector, shards, edit)
        for kind, levels in wanted.items()
        for level, edit in levels.items()
    }
    job = ScoreJob("detectors robustness", output / "scores", options, unit="edit")
    answers = score(job, list(asked.values()), output, detector_settings(name, detector), data=data)
    if answers is None:
        return None
    clean = answers.of([asked["track", "native"]])
    scored = {
        place: answers.scores[question.name]
        for place, question in asked.items()
        if question.name in answers.scores
    }
    rows = [row(*place, scores, clean, detector.calibration) for place, scores in scored.items()]
    write_table(output / "robustness.csv", list(rows[0]), rows)
    write_curves(output / "robustness.svg", rows)
    areas = {
        kind: float(np.mean([one["auc"] for one in rows if one["kind"] == kind]))
        for kind, _ in scored
        if rows[0]["auc"] is not None
    }
    images = {"done": len(clean), "failed": len(answers.unread)}
    write_manifest(output, **(read_manifest(output) or {}) | {"mean_auc": areas, "images": images})
    return rows, answers


def row(kind: str, level: str, scores: Scores, clean: Scores, calibration: Calibration) -> Row:
    """Metrics after an edit, at thresholds fixed beforehand, with intervals over images, and the share of changed verdicts.

    Rates at 1 % false positives are None for a detector without a calibration, which has no such
    threshold.

    Args:
        kind: Of the edit.
        level: Of the edit.
        scores: After the edit.
        clean: Before it.
        calibration: The detector's.
    """
    probability = calibration.probability(scores.logit)
    units = resampling_units(scores)
    auc, before = metrics.auc(scores.label, scores.logit), metrics.auc(clean.label, clean.logit)
    shifted = Scores(
        scores.label, calibration.scale * scores.logit + calibration.bias, scores.facts
    )
    bounds = intervals(shifted)
    found = {
        "kind": kind,
        "level": level,
        "real": int((scores.label == 0).sum()),
        "generated": int(scores.label.sum()),
        "auc": auc,
        "auc_change": None if auc is None or before is None else auc - before,
        "balanced_accuracy": metrics.balanced_accuracy(scores.label, probability, 0.5),
        "real_accuracy": metrics.recall(scores.label, probability, 0.5, 0),
        "generated_accuracy": metrics.recall(scores.label, probability, 0.5, 1),
    }
    rates, rate_bounds = at_one_percent(scores, probability, calibration, units)
    bounds |= rate_bounds | {"auc_change": change_interval(scores, clean, units)}
    return found | rates | changed_verdicts(scores, clean, calibration) | ends(bounds)


def at_one_percent(
    scores: Scores,
    probability: NDArray[np.float64],
    calibration: Calibration,
    units: NDArray[np.str_],
) -> tuple[Row, dict[str, Interval | None]]:
    """Rates at the calibration's threshold of 1 % false positives, and their intervals; None without a calibration.

    Args:
        scores: After the edit.
        probability: Calibrated, (N,).
        calibration: The detector's.
        units: Name of each image's unit, (N,).
    """
    threshold = calibration.threshold_fpr_1
    names = {"tpr_at_1pct_threshold": 1, "fpr_at_1pct_threshold": 0}
    if threshold is None:
        return dict.fromkeys(names), dict.fromkeys(names)
    rates: Row = {}
    bounds: dict[str, Interval | None] = {}
    for name, of in names.items():
        mine = scores.label == of
        called = probability[mine] >= threshold
        rates[name] = float(called.mean()) if mine.any() else None
        bounds[name] = share_over_units(called, units[mine]) if mine.any() else None
    return rates, bounds


def change_interval(scores: Scores, clean: Scores, units: NDArray[np.str_]) -> Interval | None:
    """Interval of the change of AUC on the same images.

    None if some could not be read after the edit.
    """
    same = len(scores) == len(clean) and (scores.facts["key"] == clean.facts["key"]).all()
    if not same or not metrics.both_classes(scores.label):
        return None
    return auc_difference_interval(scores.label, scores.logit, clean.logit, units)


def changed_verdicts(scores: Scores, clean: Scores, calibration: Calibration) -> Row:
    """Shares of verdicts that an edit changes, of all images and of each class, and of those that it turns into the opposite.

    A change to or from "unsure" counts as changed, but not as reversed.
    """
    if len(scores) != len(clean):
        names = ("verdicts_changed", "real_changed", "generated_changed", "verdicts_reversed")
        return dict.fromkeys(names)
    after, before = (
        np.array([calibration.verdict(p) for p in calibration.probability(part.logit)])
        for part in (scores, clean)
    )
    changed = after != before
    reversed_ = changed & (after != "unsure") & (before != "unsure")
    found: Row = {"verdicts_changed": float(changed.mean())}
    for name, of in (("real_changed", 0), ("generated_changed", 1)):
        mine = scores.label == of
        found[name] = float(changed[mine].mean()) if mine.any() else None
    return found | {"verdicts_reversed": float(reversed_.mean())}


def ends(bounds: Mapping[str, Interval | None]) -> Row:
    """Both ends of intervals, as columns NAME_low and NAME_high."""
    return {
        f"{name}_{end}": None if interval is None else getattr(interval, end)
        for name, interval in bounds.items()
        for end in ("low", "high")
    }


def write_curves(target: Path, rows: Sequence[Row]) -> None:
    """AUC and balanced accuracy over the levels of each kind, beside the native ones."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    native = rows[0]
    with mpl.rc_context({"svg.hashsalt": "robustness", "font.size": 8}):
        drawing = Figure(figsize=(11, 2.5 * -(-len(kinds) // 3)), layout="constrained")
        for index, kind in enumerate(kinds):
            axes = drawing.add_subplot(-(-len(kinds) // 3), 3, index + 1)
            mine = [row for row in rows if row["kind"] == kind]
            for figure, colour in (("auc", "tab:blue"), ("balanced_accuracy", "tab:orange")):
                values = [np.nan if row[figure] is None else row[figure] for row in mine]
                lows, highs = (
                    [
                        np.nan if one[f"{figure}_{end}"] is None else one[f"{figure}_{end}"]
                        for one in mine
                    ]
                    for end in ("low", "high")
                )
                axes.errorbar(
                    range(len(mine)),
                    values,
                    yerr=np.maximum([np.subtract(values, lows), np.subtract(highs, values)], 0),
                    marker="o",
                    capsize=2,
                    color=colour,
                    label=f"{figure.replace('_', ' ')}, 95 %",
                )
                if native[figure] is not None:
                    axes.axhline(native[figure], color=colour, linewidth=0.7, linestyle=":")
            axes.set_xticks(
                range(len(mine)),
                [row["level"] for row in mine],
                rotation=20 if kind == "social" else 0,
            )
            axes.set_ylim(0.3, 1.02)
            axes.set_title(kind)
            axes.grid(alpha=0.3)
        axes.legend()
        buffer = io.BytesIO()
        drawing.savefig(buffer, format="svg", metadata={"Date": None})
    write_bytes(target, buffer.getvalue())
