"""``python -m detectors scan``: a calibrated verdict on every image of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from checkpoints.folders import model_path
from detectors.calibration import Verdict
from detectors.detector import Detector, load_detector
from detectors.ensemble import combine_verdicts
from engine.devices import Process
from engine.files import file_digest
from engine.job import Batch, Job, JobOptions, Report
from engine.manifest import read_manifest
from engine.run_job import run_job
from engine.tables import write_table
from images.inputs import ImageInput, find_images
from images.job import count_pixels

BYTES_PER_PIXEL = 6
"""Memory that an image takes while it is opened."""


@dataclass(frozen=True)
class Finding:
    """One row of the table: the outcome for a single image.

    ``probability`` is the calibrated P(generated). It and ``verdict`` are empty, and ``error`` is not, where the file could
    not be read.
    """

    file: str
    verdict: Verdict | str = ""
    probability: float | None = None
    logit: float | None = None
    width: int | None = None
    height: int | None = None
    error: str = ""


COLUMNS = [field.name for field in fields(Finding)]


@dataclass(frozen=True)
class Viewed:
    """An image as the detectors see it.

    Attributes:
        views: One for each detector, (3, S, S) in [0, 1].
        width: Of the image, in pixels.
        height: Of the image, in pixels.
    """

    views: list[Tensor]
    width: int
    height: int


class ScanJob(Job[ImageInput, Viewed, list[float], dict[str, Any]]):
    """Asks detectors about images.

    Args:
        detectors: One, or several that judge together.
        output: The table's file.
    """

    command = "detectors scan"

    def __init__(self, detectors: Sequence[Detector], output: Path) -> None:
        self.detectors = detectors
        self.output_files = [output, output.with_suffix(".html")]

    def setup(self, process: Process) -> None:
        for detector in self.detectors:
            detector.eval().to(process.device, process.dtype)

    def input_bytes(self, source: ImageInput) -> int:
        return BYTES_PER_PIXEL * count_pixels(source)

    def prepare(self, source: ImageInput) -> Viewed:
        rgb = source.open().rgb
        views = [detector.view(rgb, np.random.default_rng(0)) for detector in self.detectors]
        return Viewed(views, rgb.shape[1], rgb.shape[0])

    def step(self, batch: Batch[ImageInput, Viewed]) -> list[list[float]]:
        logits = []
        for place, detector in enumerate(self.detectors):
            logits.append(detector.logits_of([viewed.views[place] for viewed in batch.prepared]))
        return [list(row) for row in zip(*logits, strict=True)]

    def finish(self, prepared: Viewed, result: list[float]) -> dict[str, Any]:
        verdict, probability, logit = combine_verdicts(
            result, [detector.calibration for detector in self.detectors]
        )
        size = {"width": prepared.width, "height": prepared.height}
        return {"verdict": verdict, "probability": probability, "logit": logit} | size

    def write(self, source: ImageInput, finished: dict[str, Any]) -> dict[str, Any]:
        return finished


def scan(
    inputs: Sequence[Path], output: Path, names: Sequence[str], options: JobOptions | None = None
) -> tuple[list[Finding], Report] | None:
    """Score every image into a CSV file; goes on with a stopped run.

    The run's record is ``OUTPUT.run``, a folder beside the file.

    Args:
        inputs: Folders, image files, shards and lists; see :func:`images.inputs.find_images`.
        output: The CSV file.
        names: Detectors: folders, Hub ids or .ckpt files; several judge together.
        options: How the job runs.

    Returns:
        A finding for each image, in the inputs' order, and the outcome; None on every process but the first.

    Raises:
        FileNotFoundError: If an input, its images or a detector are not there.
        ValueError: If the file is there already and is no earlier run's, a detector is given twice or, among several, has no
            calibration, or a stopped run used others.
    """
    digests = [weights_digest(name) for name in names]
    if len(set(digests)) < len(names):
        msg = f"one detector is given twice: {', '.join(names)}"
        raise ValueError(msg)
    record = output.with_name(f"{output.name}.run")
    if output.exists() and read_manifest(record) is None:
        msg = f"{output} exists already: choose another name or delete it"
        raise ValueError(msg)
    detectors = [load_detector(name) for name in names]
    bare = [
        name
        for name, detector in zip(names, detectors, strict=True)
        if not detector.calibration.pictures
    ]
    if bare and len(names) > 1:
        msg = f"{bare[0]} has no calibration, so that its answers cannot be compared with others': python -m detectors calibrate"
        raise ValueError(msg)
    found = find_images(inputs)
    settings = {"detectors": dict(zip(map(str, names), digests, strict=True))}
    job = ScanJob(detectors, output)
    report = run_job(
        job,
        found.images,
        record,
        settings,
        options or JobOptions(batch_size=16),
        found.skipped,
        found.failed,
    )
    if report is None:
        return None
    rows = {name: Finding(name, **row) for name, row in report.rows}
    rows |= {name: Finding(name, error=error) for name, error in report.failed.items()}
    order = [*(image.name for image in found.images), *found.failed]
    findings = [rows[name] for name in order]
    write_table(output, COLUMNS, map(asdict, findings))
    return findings, report


def weights_digest(name: str) -> str:
    """Hash a detector: its weights, view and calibration."""
    place = model_path(name)
    if place.is_file():
        return file_digest(place)
    parts = [place / part for part in ("model.safetensors", "config.json", "calibration.json")]
    return " ".join(file_digest(part) for part in parts if part.is_file())
