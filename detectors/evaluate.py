"""``python -m detectors calibrate | test``: fit what answers mean, and measure a detector on pictures it has never seen."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from checkpoints.folders import model_path
from detectors.calibration import Calibration
from detectors.detector import load_detector
from detectors.ensemble import combined
from detectors.scoring import (
    OPTIONS,
    Answers,
    ScoreJob,
    detector_settings,
    find_stored,
    score,
    shard_by_shard,
)
from detectors.summary import auc_interval, figure, flipped, judged, summarise
from engine.files import write_text
from engine.job import JobOptions
from engine.manifest import read_manifest, write_manifest
from engine.records import to_json

FEWEST = 40
"""Bootstrap samples without which no 95 % interval can be read off."""


def calibrate(
    name: str, data: list[str], options: JobOptions = OPTIONS
) -> tuple[Calibration, Answers] | None:
    """Fit a detector's calibration on images that are used for nothing else, and store it with the weights.

    A stopped run goes on; its record is a folder beside the detector's, which is taken away when all answers are there.

    Args:
        name: The detector's folder; of a checkpoint (``.ckpt``) a folder of its name is made beside it.
        data: Patterns of shards.
        options: How it runs.

    Returns:
        The calibration and the answers it is fitted on; None on every process but the first.

    Raises:
        FileNotFoundError: If the detector or the shards are not there.
        ValueError: If the shards hold one class only.
    """
    detector, target = load_detector(name), place_of_calibration(name)
    settings = detector_settings(name, detector)
    questions = shard_by_shard(detector, find_stored([detector], data))
    record = target.with_name(f"{target.name}.calibration-{settings['weights'][:8]}")
    answers = score(
        ScoreJob("detectors calibrate", record / "shards", options), questions, record, settings
    )
    if answers is None:
        return None
    shutil.rmtree(record)
    calibration = Calibration.fit(answers.of(questions))
    if target.is_dir():
        calibration.save(target)
    else:
        detector = load_detector(name)
        detector.calibration = calibration
        detector.save_pretrained(target)
    return calibration, answers


def place_of_calibration(name: str) -> Path:
    """Name the folder a detector's calibration is stored in: its own, or beside a checkpoint one of its name, to be made.

    Raises:
        FileNotFoundError: If there is no such detector.
        ValueError: If the folder to be made is there already.
    """
    place = model_path(name)
    if place.is_dir():
        return place
    folder = place.with_suffix("")
    if folder.exists():
        msg = f"{place}: a checkpoint cannot hold a calibration, and {folder}, where the detector would be saved with it, exists; name that"
        raise ValueError(msg)
    return folder


def measure(
    names: Sequence[str],
    data: list[str],
    output: Path,
    resamples: int = 200,
    options: JobOptions = OPTIONS,
) -> tuple[dict[str, Any], Answers] | None:
    """Score a detector, or several as one, on shards and write ``scores.parquet``, ``summary.json`` and ``manifest.json``.

    The answers of each shard are kept in ``shards/``: a stopped test goes on, and a shard that has changed is scored again.

    Args:
        names: The detectors' folders or Hub ids; of several, the mean of their calibrated log-odds counts.
        data: Patterns of shards.
        output: Folder of the results.
        resamples: Bootstrap samples of the intervals.
        options: How it runs.

    Returns:
        The record of :func:`detectors.summary.summarise`, with the images that could not be read, and the answers; None on every
        process but the first.

    Raises:
        FileNotFoundError: If the detector or the shards are not there.
        ValueError: If there are too few resamples for an interval, or the folder holds the test of another detector.
    """
    if resamples < 0 or 0 < resamples < FEWEST:
        msg = f"resamples is 0, for no intervals, or at least {FEWEST}; got {resamples}"
        raise ValueError(msg)
    detectors = [load_detector(name) for name in names]
    shards = find_stored(detectors, data)
    asked = [
        shard_by_shard(detector, shards, f"{place}/" if len(names) > 1 else "")
        for place, detector in enumerate(detectors)
    ]
    settings = {
        "detectors": [
            detector_settings(name, detector)
            for name, detector in zip(names, detectors, strict=True)
        ]
    }
    weights = [
        {"name": name, "sha256": one["weights"]}
        for name, one in zip(names, settings["detectors"], strict=True)
    ]
    job = ScoreJob("detectors test", output / "shards", options)
    answers = score(
        job, [*chain(*asked)], output, settings, detectors=weights, data=data, resamples=resamples
    )
    if answers is None:
        return None
    scores, calibration = answers.of(asked[0]), detectors[0].calibration
    if len(names) > 1:
        scores, calibration = combined(
            [answers.of(questions) for questions in asked],
            [detector.calibration for detector in detectors],
        )
    scores.write(output / "scores.parquet")
    record = summarise(scores, calibration, resamples) | {"failed": answers.unread}
    write_text(output / "summary.json", to_json(record))
    write_manifest(
        output,
        **(read_manifest(output) or {})
        | {"images": {"done": len(scores), "failed": len(answers.unread)}},
    )
    return record, answers


def in_words(record: dict[str, Any]) -> str:
    """The figures a reader looks for first."""
    told, interval, calibrated = judged(record), auc_interval(record), bool(record["calibrated"])
    lines = [
        f"{record['pictures']['real']} real and {record['pictures']['generated']} generated pictures",
        f"AUC {figure(record['ranking']['auc'])}"
        + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""),
        f"balanced accuracy {figure(told['balanced_accuracy'])}, calibration error {figure(told['calibration_error'])}"
        + (" (calibrated)" if calibrated else " (not calibrated: python -m detectors calibrate)"),
    ]
    if generators := record["slices"]["generator"]:
        lines.append(
            "by generator, found at P = 0.5" + (" before calibration:" if calibrated else ":")
        )
    for name, facts in generators.items():
        found = f"found {figure(facts['generated_accuracy'])} of {facts['generated']}"
        lines.append(f"  {name}: AUC {figure(facts['auc'])} against {facts['real']} real, {found}")
    if record["worst"]:
        lines.append(f"worst generator: {record['worst']['generator']}")
    if trouble := flipped(record):
        lines.append(trouble)
    return "\n".join(lines)
