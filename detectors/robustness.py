"""``python -m detectors robustness``: score a detector on edited images.

One track shows both classes with equal sizes and codecs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.fake2m.facts import read_facts
from datamodules.shards import local_shards
from detectors import metrics
from detectors.calibration import Calibration, check_prevalence
from detectors.crop_rule import CropRule
from detectors.detector import load_detector
from detectors.robustness_curves import write_curves
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
from detectors.verdicts import (
    verdict_rates,
    verdicts_on,
    wrong_range,
    wrong_share,
)
from engine.job import JobOptions
from engine.manifest import read_manifest, write_manifest
from engine.statistics import Interval, auc_difference_interval
from engine.tables import write_table
from images.transforms import ROBUSTNESS, Chain, Edit
from images.transforms.codecs import JPEG, RandomJPEG
from images.transforms.geometry import CenterSquare

FIXED_QUALITY = 96
"""JPEG quality of the track ``all JPEG``, and of ``aligned`` if no real image is a JPEG."""

PREVALENCE = 0.5
"""Share of generated images that the share of wrong verdicts is stated for."""

Row = dict[str, Any]


def tracks(urls: Sequence[str]) -> dict[str, Edit]:
    """Edits of the three tracks.

    ``native`` keeps images as they are. ``aligned`` gives both classes equal sizes and the JPEG
    qualities of the real images. ``all JPEG`` encodes all images at one quality.
    """
    sides = []
    real_qualities = []
    for shard in local_shards(urls):
        for _, record in read_facts(shard):
            sides.append(min(record["width"], record["height"]))
            if record["label"] == 0 and record["jpeg_quality"]:
                real_qualities.append(record["jpeg_quality"])

    # One thumbnail must not shrink all other images: the few smaller ones stay smaller.
    side = int(np.percentile(sides, 5))
    qualities: tuple[int, ...] = (FIXED_QUALITY,)
    if real_qualities:
        percentiles = np.percentile(real_qualities, np.arange(0.5, 100), method="nearest")
        qualities = tuple(percentiles.astype(int).tolist())
    aligned = Chain((CenterSquare(side), RandomJPEG(qualities)))
    return {"native": Chain(()), "aligned": aligned, "all JPEG": JPEG(FIXED_QUALITY)}


def sweep(
    name: str,
    data: list[str],
    output: Path,
    edits: Mapping[str, Mapping[str, Edit]] | None = None,
    max_fpr: float | None = None,
    rule: CropRule | None = None,
    options: JobOptions = OPTIONS,
    prevalence: float | None = None,
) -> tuple[list[Row], Answers] | None:
    """Score every image after every edit, and write ``robustness.csv`` and ``robustness.svg``.

    A stopped sweep is resumed at the first edit without scores.

    Args:
        name: Folder or Hub id of the detector.
        data: Patterns of local shards.
        output: Folder of the results.
        edits: Edits by kind and level, in addition to the three tracks;
            :data:`images.transforms.suites.ROBUSTNESS` if None.
        max_fpr: Rate of the operating point of the verdicts; None for the calibration's.
        rule: Crops to judge; None for the calibration's.
        options: Options of the job.
        prevalence: Share of generated images for which the share of wrong verdicts is stated; None
            for :data:`PREVALENCE`.

    Returns:
        Rows and answers; None on every process but the first.

    Raises:
        FileNotFoundError: If the detector or the shards do not exist.
        ValueError: If the folder holds the sweep of another detector, no unedited image can be
            scored, the calibration is of other crops, or the prevalence is no share.
    """
    check_prevalence(prevalence)
    detector = load_detector(name, rule)
    calibration = detector.calibration.at(max_fpr)
    shards = find_stored([detector], data)

    # One question for each edit.
    questions = {}
    for kind, levels in ({"track": tracks(data)} | dict(edits or ROBUSTNESS)).items():
        for level, edit in levels.items():
            questions[kind, level] = Question(f"{kind}, {level}", detector, shards, edit)
    job = ScoreJob("detectors robustness", output / "scores", options, unit="edit")
    settings = detector_settings(name, detector)
    answers = score(job, list(questions.values()), output, settings, data=data)
    if answers is None:
        return None

    # One row for each edit with scores.
    clean = answers.of([questions["track", "native"]])
    rows = []
    for (kind, level), question in questions.items():
        if question.name in answers.scores:
            scores = answers.scores[question.name]
            made = row(kind, level, scores, clean, calibration, prevalence or PREVALENCE)
            rows.append(made)
    write_table(output / "robustness.csv", list(rows[0]), rows)
    write_curves(output / "robustness.svg", rows)

    # Mean AUC of each kind.
    areas: dict[str, float] = {}
    if rows[0]["auc"] is not None:
        for kind in dict.fromkeys(one["kind"] for one in rows):
            areas[kind] = float(np.mean([one["auc"] for one in rows if one["kind"] == kind]))
    images = {"done": len(clean), "failed": len(answers.unread)}
    write_manifest(output, **(read_manifest(output) or {}) | {"mean_auc": areas, "images": images})
    return rows, answers


def row(
    kind: str,
    level: str,
    scores: Scores,
    clean: Scores,
    calibration: Calibration,
    prevalence: float = PREVALENCE,
) -> Row:
    """Metrics after an edit, at thresholds that were fixed beforehand.

    They have intervals over images, and come with the share of changed verdicts. Shares of verdicts
    are None for a detector without a calibration.

    Args:
        kind: Kind of the edit.
        level: Level of the edit.
        scores: Scores after the edit.
        clean: Scores before the edit.
        calibration: Calibration of the detector.
        prevalence: Share of generated images that the share of wrong verdicts is of.
    """
    probability = calibration.probability(scores.logit)
    units = resampling_units(scores)
    auc = metrics.auc(scores.label, scores.logit)
    clean_auc = metrics.auc(clean.label, clean.logit)
    shifted = Scores(
        scores.label, calibration.scale * scores.logit + calibration.bias, scores.facts
    )
    bounds = intervals(shifted)
    figures = {
        "kind": kind,
        "level": level,
        "real": int((scores.label == 0).sum()),
        "generated": int(scores.label.sum()),
        "auc": auc,
        "auc_change": None if auc is None or clean_auc is None else auc - clean_auc,
        "balanced_accuracy": metrics.balanced_accuracy(scores.label, probability, 0.5),
        "real_accuracy": metrics.recall(scores.label, probability, 0.5, 0),
        "generated_accuracy": metrics.recall(scores.label, probability, 0.5, 1),
    }
    rates, rate_bounds = rates_of_verdicts(scores, calibration, prevalence)
    changed, changed_bounds = changed_verdicts(scores, clean, calibration, units)
    bounds |= rate_bounds | {"auc_change": change_interval(scores, clean, units)}
    return figures | rates | changed | ends(bounds | changed_bounds)


def rates_of_verdicts(
    scores: Scores, calibration: Calibration, prevalence: float
) -> tuple[Row, dict[str, Interval | None]]:
    """Shares of the verdicts after an edit, and of those "generated" that are wrong; intervals.

    All are None for a detector without a calibration.
    """
    point = calibration.point
    row: Row = {"max_fpr": None if point is None else point.max_fpr}
    bounds: dict[str, Interval | None] = {}
    known = {} if point is None else verdict_rates(scores, verdicts_on(scores, calibration))
    for kind, called in (("real", "accused"), ("generated", "found")):
        shares = known.get(kind) or {}
        row[f"{kind}_{called}"] = shares.get("generated")
        row[f"{kind}_unsure"] = shares.get("unsure")
        bounds[f"{kind}_{called}"] = shares.get("generated_interval")
        bounds[f"{kind}_unsure"] = shares.get("unsure_interval")
    row["prevalence"] = prevalence if known else None
    row["wrong"] = wrong_share(known, prevalence) if known else None
    bounds["wrong"] = wrong_range(known, prevalence) if known else None
    return row, bounds


def change_interval(scores: Scores, clean: Scores, units: NDArray[np.str_]) -> Interval | None:
    """Interval of the change of AUC on the same images.

    Args:
        scores: Scores of N images after the edit.
        clean: Scores before the edit.
        units: (N,) name of each image's unit.

    Returns:
        The interval; None if an image was not scored after the edit, or one class is missing.
    """
    same = len(scores) == len(clean) and (scores.facts["key"] == clean.facts["key"]).all()
    if not same or not metrics.both_classes(scores.label):
        return None
    return auc_difference_interval(scores.label, scores.logit, clean.logit, units)


def changed_verdicts(
    scores: Scores, clean: Scores, calibration: Calibration, units: NDArray[np.str_]
) -> tuple[Row, dict[str, Interval | None]]:
    """Shares of verdicts that an edit changes or reverses, and their intervals.

    A change to or from "unsure" counts as changed, but not as reversed.

    Args:
        scores: Scores of N images after the edit.
        clean: Scores before the edit.
        calibration: Calibration of the detector.
        units: (N,) name of each image's unit.

    Returns:
        Share of changed verdicts of all images and of each class, and share of reversed ones; None
        if an image was not scored after the edit, or the detector has no calibration. Their
        intervals, over units.
    """
    names = ("verdicts_changed", "real_changed", "generated_changed", "verdicts_reversed")
    shares: Row = dict.fromkeys(names)
    bounds: dict[str, Interval | None] = dict.fromkeys(names)
    if len(scores) != len(clean) or calibration.point is None:
        return shares, bounds
    after = verdicts_on(scores, calibration)
    before = verdicts_on(clean, calibration)
    changed = after != before
    reversed_ = changed & (after != "unsure") & (before != "unsure")
    everything = np.ones(len(scores), dtype=bool)
    counted = (
        (changed, everything),
        (changed, scores.label == 0),
        (changed, scores.label == 1),
        (reversed_, everything),
    )
    for name, (of_images, mask) in zip(names, counted, strict=True):
        if mask.any():
            shares[name] = float(of_images[mask].mean())
            bounds[name] = share_over_units(of_images[mask], units[mask])
    return shares, bounds


def ends(bounds: Mapping[str, Interval | None]) -> Row:
    """Columns NAME_low and NAME_high of intervals."""
    return {
        f"{name}_{end}": None if interval is None else getattr(interval, end)
        for name, interval in bounds.items()
        for end in ("low", "high")
    }


def row_text(one: Mapping[str, Any]) -> str:
    """Format a row: numbers of images, and its main figures with 95 % intervals."""
    rates = ("real_accused", "generated_found", "wrong", "verdicts_changed")
    figures = [f"{one['real']} + {one['generated']} images"]
    for name in ("auc", "balanced_accuracy", *rates):
        if one[name] is not None:
            low, high = one[f"{name}_low"], one[f"{name}_high"]
            bounds = "" if low is None else f" [{low:.3f}, {high:.3f}]"
            words = name.replace("_", " ")
            if name == "wrong":
                words += f" among them at a prevalence of {one['prevalence']:g}"
            figures.append(f"{words} {one[name]:.3f}{bounds}")
    return ", ".join(figures)
