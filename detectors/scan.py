"""Scan of images: a calibrated verdict on every one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

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
"""Memory that an opened image takes, per pixel."""


@dataclass(frozen=True)
class Finding:
    """One row of the table: the outcome for a single image.

    ``probability`` is the calibrated P(generated), in [0, 1], where a share of ``prior`` of the
    images is generated; several detectors have none. For an unreadable file it and ``verdict`` are
    empty, and ``error`` is not.
    """

    file: str
    verdict: Verdict | str = ""
    probability: float | None = None
    prior: float | None = None
    logit: float | None = None
    width: int | None = None
    height: int | None = None
    error: str = ""


COLUMNS = [field.name for field in fields(Finding)]


@dataclass(frozen=True)
class OpenedViews:
    """Views of an opened image.

    Attributes:
        views: View of each detector, (3, S, S) in [0, 1].
        width: Width of the image, in pixels.
        height: Height of the image, in pixels.
    """

    views: list[Tensor]
    width: int
    height: int


class ScanJob(Job[ImageInput, OpenedViews, list[float], dict[str, Any]]):
    """Job that scores images with detectors.

    Args:
        detectors: One detector, or an ensemble.
        output: File of the table.
    """

    command = "detectors scan"
    implied: ClassVar[Mapping[str, Any]] = {"max_fpr": None, "prevalence": None}

    def __init__(self, detectors: Sequence[Detector], output: Path) -> None:
        self.detectors = detectors
        self.output_files = [output, output.with_suffix(".html")]

    def setup(self, process: Process) -> None:
        for detector in self.detectors:
            detector.eval().to(process.device, process.dtype)

    def input_bytes(self, source: ImageInput) -> int:
        return BYTES_PER_PIXEL * count_pixels(source)

    def prepare(self, source: ImageInput) -> OpenedViews:
        rgb = source.open().rgb
        views = [detector.view(rgb, np.random.default_rng(0)) for detector in self.detectors]
        return OpenedViews(views, width=rgb.shape[1], height=rgb.shape[0])

    def step(self, batch: Batch[ImageInput, OpenedViews]) -> list[list[float]]:
        logits = []
        for number, detector in enumerate(self.detectors):
            views = [opened.views[number] for opened in batch.prepared]
            logits.append(detector.logits_of(views))
        return [list(row) for row in zip(*logits, strict=True)]

    def finish(self, prepared: OpenedViews, result: list[float]) -> dict[str, Any]:
        calibrations = [detector.calibration for detector in self.detectors]
        verdict, probability, logit = combine_verdicts(result, calibrations)
        return {
            "verdict": verdict,
            "probability": probability,
            "prior": None if probability is None else calibrations[0].prior,
            "logit": logit,
            "width": prepared.width,
            "height": prepared.height,
        }

    def write(self, source: ImageInput, finished: dict[str, Any]) -> dict[str, Any]:
        return finished


def scan(
    inputs: Sequence[Path],
    output: Path,
    names: Sequence[str],
    options: JobOptions | None = None,
    max_fpr: float | None = None,
    prevalence: float | None = None,
) -> tuple[list[Finding], Report] | None:
    """Score every image into a CSV file.

    A stopped run is continued. Its record is ``OUTPUT.run``, a folder beside the file.

    Args:
        inputs: Folders, image files, shards and lists; see :func:`images.inputs.find_images`.
        output: CSV file to write.
        names: Folders, Hub ids or .ckpt files of the detectors; several form an ensemble.
        options: Options of the job.
        max_fpr: Rate of the operating point of the verdicts; None for the calibration's.
        prevalence: Share of generated images that P assumes; None for the calibration's.

    Returns:
        A finding for each image, in the inputs' order, and the job's report; None on every process
        but the first.

    Raises:
        FileNotFoundError: If an input, its images or a detector are missing.
        ValueError: If the file exists and is no earlier run's, a detector is given twice or lacks
            the calibration that an ensemble needs, there is no such operating point, or a stopped
            run used other detectors or settings.
    """
    # refuse one detector twice, and foreign files
    digests = [weights_digest(name) for name in names]
    if len(set(digests)) < len(names):
        msg = f"one detector is given twice: {', '.join(names)}"
        raise ValueError(msg)
    record = output.with_name(f"{output.name}.run")
    if output.exists() and read_manifest(record) is None:
        msg = f"{output} exists already: choose another name or delete it"
        raise ValueError(msg)
    # score the images
    detectors = open_detectors(names, max_fpr, prevalence)
    found = find_images(inputs)
    report = run_job(
        ScanJob(detectors, output),
        found.images,
        record,
        {
            "detectors": dict(zip(map(str, names), digests, strict=True)),
            "max_fpr": max_fpr,
            "prevalence": prevalence,
        },
        options or JobOptions(batch_size=16),
        found.skipped,
        found.failed,
    )
    if report is None:
        return None
    # one row for each image, in the inputs' order
    rows = {name: Finding(name, **row) for name, row in report.rows}
    rows |= {name: Finding(name, error=error) for name, error in report.failed.items()}
    order = [*(image.name for image in found.images), *found.failed]
    findings = [rows[name] for name in order]
    write_table(output, COLUMNS, map(asdict, findings))
    return findings, report


def open_detectors(
    names: Sequence[str], max_fpr: float | None, prevalence: float | None
) -> list[Detector]:
    """Open detectors with the operating point and the prior that were asked for.

    Args:
        names: Folders, Hub ids or .ckpt files; several form an ensemble.
        max_fpr: Rate of the operating point; None for the calibration's.
        prevalence: Share of generated images that P assumes; None for the calibration's.

    Raises:
        FileNotFoundError: If a detector is missing.
        ValueError: If a detector lacks a calibration that is needed, or there is no such operating
            point.
    """
    detectors = [load_detector(name) for name in names]
    if len(names) > 1:
        _check_calibrated(names, detectors)
        if prevalence is not None:
            msg = "--prevalence: several detectors have no P that it could change"
            raise ValueError(msg)
    for detector in detectors:
        detector.calibration = detector.calibration.at(max_fpr, prevalence)
    return detectors


def _check_calibrated(names: Sequence[str], detectors: Sequence[Detector]) -> None:
    """Raise ValueError if a detector of an ensemble has no calibration."""
    for name, detector in zip(names, detectors, strict=True):
        if not detector.calibration.images:
            msg = (
                f"{name} has no calibration, so that its answers cannot be compared with others': "
                "python -m detectors calibrate"
            )
            raise ValueError(msg)


def weights_digest(name: str) -> str:
    """Hash a detector: its weights, views and calibration."""
    location = model_path(name)
    if location.is_file():
        return file_digest(location)
    files = [location / part for part in ("model.safetensors", "config.json", "calibration.json")]
    return " ".join(file_digest(file) for file in files if file.is_file())
