"""``python -m detectors robustness``: what a detector's answers are worth after edits, and once both classes are coded alike."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

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
from engine.files import write_bytes
from engine.job import JobOptions
from engine.manifest import read_manifest, write_manifest
from engine.tables import write_table
from images.transforms import ROBUSTNESS, Chain, Edit
from images.transforms.codecs import JPEG, RandomJPEG
from images.transforms.geometry import CenterSquare

FIXED_QUALITY = 96
"""JPEG quality of the track that codes everything once, and of aligned pictures where the real ones are no JPEGs."""

Row = dict[str, Any]


def tracks(urls: Sequence[str]) -> dict[str, Edit]:
    """Three ways to show the same pictures: as they are; both classes with equal sizes and the real ones' qualities; all as one JPEG."""
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
        edits: By kind and level; :data:`images.transforms.suites.ROBUSTNESS` and the three tracks if None.
        options: How it runs.

    Returns:
        The rows and the answers; None on every process but the first.

    Raises:
        FileNotFoundError: If the detector or the shards are not there.
        ValueError: If the folder holds the sweep of another detector, or no image can be scored as it is.
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
    """What is left after an edit: at thresholds that know nothing of it, and how many verdicts it turns over."""
    probability = calibration.probability(scores.logit)
    threshold = 0.5 if calibration.threshold_fpr_1 is None else calibration.threshold_fpr_1
    verdicts = [
        np.array([calibration.verdict(p) for p in calibration.probability(part.logit)])
        for part in (scores, clean)
    ]
    auc, before = metrics.auc(scores.label, scores.logit), metrics.auc(clean.label, clean.logit)
    return {
        "kind": kind,
        "level": level,
        "auc": auc,
        "auc_change": None if auc is None or before is None else auc - before,
        "balanced_accuracy": metrics.balanced_accuracy(scores.label, probability, 0.5),
        "real_accuracy": metrics.recall(scores.label, probability, 0.5, 0),
        "generated_accuracy": metrics.recall(scores.label, probability, 0.5, 1),
        "found_at_1_percent": metrics.recall(scores.label, probability, threshold, 1),
        "accused_at_1_percent": None
        if (kept := metrics.recall(scores.label, probability, threshold, 0)) is None
        else 1 - kept,
        "verdicts_changed": float((verdicts[0] != verdicts[1]).mean()),
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
                axes.plot(
                    range(len(mine)),
                    values,
                    marker="o",
                    color=colour,
                    label=figure.replace("_", " "),
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
