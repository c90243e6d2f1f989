"""``python -m detectors calibrate | test``: fit what answers mean, and measure a detector on pictures it has never seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checkpoints.folders import model_place, weight_file
from detectors.calibration import Calibration
from detectors.detector import load_detector
from detectors.ensemble import combined
from detectors.scoring import score_shards
from detectors.summary import auc_interval, figure, flipped, judged, summarise
from engine.files import file_digest, write_text
from engine.manifest import write_manifest
from engine.records import to_json

FEWEST = 40
"""Bootstrap samples without which no 95 % interval can be read off."""


def calibrate(name: str, data: list[str], **how: Any) -> Calibration | None:
    """Fit a detector's calibration on pictures that are used for nothing else, and store it with the weights.

    Args:
        name: The detector's folder; of a checkpoint (``.ckpt``) a folder of its name is made beside it.
        data: Patterns of shards.
        how: As :func:`detectors.scoring.score_shards`.

    Returns:
        The calibration; None on every process but the first.

    Raises:
        FileNotFoundError: If the detector or the shards are not there.
        ValueError: If the shards hold one class only.
    """
    detector, target = load_detector(name), place_of_calibration(name)
    scored = score_shards(detector, data, **how)
    if scored is None:
        return None
    detector.calibration = Calibration.fit(scored[0])
    if target.is_dir():
        detector.calibration.save(target)
    else:
        detector.save_pretrained(target)
    return detector.calibration


def place_of_calibration(name: str) -> Path:
    """Name the folder a detector's calibration is stored in: its own, or beside a checkpoint one of its name, to be made.

    Raises:
        FileNotFoundError: If there is no such detector.
        ValueError: If the folder to be made is there already.
    """
    place = model_place(name)
    if place.is_dir():
        return place
    folder = place.with_suffix("")
    if folder.exists():
        msg = f"{place}: a checkpoint cannot hold a calibration, and {folder}, where the detector would be saved with it, exists; name that"
        raise ValueError(msg)
    return folder


def measure(names: Sequence[str], data: list[str], output: Path, resamples: int = 200, **how: Any) -> dict[str, Any] | None:
    """Score a detector, or several as one, on shards and write ``scores.parquet``, ``summary.json`` and ``manifest.json``.

    Args:
        names: The detectors' folders or Hub ids; of several, the mean of their calibrated log-odds counts.
        data: Patterns of shards.
        output: Folder of the results.
        resamples: Bootstrap samples of the intervals.
        how: As :func:`detectors.scoring.score_shards`.

    Returns:
        The record of :func:`detectors.summary.summarise`, with the pictures that could not be read; None on every process but the first.

    Raises:
        FileNotFoundError: If the detector or the shards are not there.
        ValueError: If there are too few resamples for an interval.
    """
    if resamples < 0 or 0 < resamples < FEWEST:
        msg = f"resamples is 0, for no intervals, or at least {FEWEST}; got {resamples}"
        raise ValueError(msg)
    detectors = [load_detector(name) for name in names]
    scored = [score_shards(detector, data, **how) for detector in detectors]
    answered = [one for one in scored if one is not None]
    if not answered:
        return None
    failed = {row["error"]: row for _, rows in answered for row in rows}
    scores, calibration = answered[0][0], detectors[0].calibration
    if len(names) > 1:
        scores, calibration = combined([one for one, _ in answered], [detector.calibration for detector in detectors])
    output.mkdir(parents=True, exist_ok=True)
    scores.write(output / "scores.parquet")
    record = summarise(scores, calibration, resamples) | {"failed": list(failed)}
    write_text(output / "summary.json", to_json(record))
    weights = [{"name": name, "sha256": file_digest(weight_file(name))} for name in names]
    counts = {"done": len(scores), "failed": len(failed)}
    write_manifest(output, command="detectors test", detectors=weights, data=data, counts=counts, resamples=resamples)
    return record


def in_words(record: dict[str, Any]) -> str:
    """The figures a reader looks for first."""
    told, interval, calibrated = judged(record), auc_interval(record), bool(record["calibrated"])
    lines = [
        f"{record['pictures']['real']} real and {record['pictures']['generated']} generated pictures",
        f"AUC {figure(record['ranking']['auc'])}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""),
        f"balanced accuracy {figure(told['balanced_accuracy'])}, calibration error {figure(told['calibration_error'])}"
        + (" (calibrated)" if calibrated else " (not calibrated: python -m detectors calibrate)"),
    ]
    if generators := record["slices"]["generator"]:
        lines.append("by generator, found at P = 0.5" + (" before calibration:" if calibrated else ":"))
    for name, facts in generators.items():
        found = f"found {figure(facts['generated_accuracy'])} of {facts['generated']}"
        lines.append(f"  {name}: AUC {figure(facts['auc'])} against {facts['real']} real, {found}")
    if record["worst"]:
        lines.append(f"worst generator: {record['worst']['generator']}")
    if trouble := flipped(record):
        lines.append(trouble)
    return "\n".join(lines)
