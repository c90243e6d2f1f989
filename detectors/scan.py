"""Scan of images: a calibrated verdict on every one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from checkpoints.folders import model_path
from detectors.calibration import Verdict
from detectors.calibration_record import Output
from detectors.crop_rule import CropRule
from detectors.ensemble import FILE as ENSEMBLE
from detectors.ensemble import Ensemble, refuse_twice
from detectors.stable import stable_judgement, stable_views
from engine.devices import Process
from engine.files import file_digest, refuse_existing
from engine.job import Batch, Job, JobOptions, Report
from engine.manifest import read_manifest
from engine.run_job import run_job
from engine.tables import write_table
from images.inputs import ImageInput, find_images
from images.job import count_pixels
from images.provenance import Provenance, input_provenance

BYTES_PER_PIXEL = 6
"""Memory that an opened image takes, per pixel."""


@dataclass(frozen=True)
class Finding:
    """One row of the table: the outcome for a single image.

    ``reason`` says why the verdict is "unsure"; it is empty for other verdicts.
    ``probability`` is the calibrated P(generated), in [0, 1], where a share of ``prior`` of the
    images is generated; several detectors have none. For an unreadable file it and ``verdict`` are
    empty, and ``error`` is not.
    """

    file: str
    verdict: Verdict | str = ""
    reason: str = ""
    probability: float | None = None
    prior: float | None = None
    logit: float | None = None
    width: int | None = None
    height: int | None = None
    c2pa: str = ""
    digital_source_type: str = ""
    parameters: str = ""
    software: str = ""
    notes: str = ""
    error: str = ""

    @property
    def provenance(self) -> Provenance:
        """Statements of the file on its own origin, no part of the verdict."""
        return Provenance(self.c2pa, self.digital_source_type, self.parameters, self.software)


COLUMNS = [field.name for field in fields(Finding)]


@dataclass(frozen=True)
class OpenedViews:
    """Views of an opened image.

    Attributes:
        views: For each round of :mod:`detectors.stable`, or one, the view of each detector,
            (3, S, S), or its crops, (K, 3, S, S); uint8.
        width: Width of the image, in pixels.
        height: Height of the image, in pixels.
        facts: What the file says of its own origin, and notes of its decoding; by column.
    """

    views: list[list[Tensor]]
    width: int
    height: int
    facts: dict[str, str]


class ScanJob(Job[ImageInput, OpenedViews, list[list[Output]], dict[str, Any]]):
    """Job that scores images with detectors.

    Args:
        ensemble: One detector, or several.
        output: File of the table.
        stable: Judge further views of every image.
    """

    command = "detectors scan"
    implied: ClassVar[Mapping[str, Any]] = {
        "max_fpr": None,
        "prevalence": None,
        "stable": False,
        "crops": None,
    }

    def __init__(self, ensemble: Ensemble, output: Path, stable: bool = False) -> None:
        self.ensemble = ensemble
        self.detectors = list(ensemble.detectors.values())
        self.stable = stable
        self.output_files = [output, output.with_suffix(".html")]

    def setup(self, process: Process) -> None:
        for detector in self.detectors:
            detector.eval().to(process.device, process.dtype)

    def input_bytes(self, source: ImageInput) -> int:
        return BYTES_PER_PIXEL * count_pixels(source)

    def prepare(self, source: ImageInput) -> OpenedViews:
        photo = source.open().on_white()
        rgb = photo.rgb
        if self.stable:
            by_detector = [stable_views(detector, rgb) for detector in self.detectors]
            views = [list(one) for one in zip(*by_detector, strict=True)]
        else:
            views = [[detector.view_of(rgb) for detector in self.detectors]]
        notes = {"notes": "; ".join(photo.notes)}
        facts = asdict(input_provenance(source, photo)) | notes
        return OpenedViews(views, width=rgb.shape[1], height=rgb.shape[0], facts=facts)

    def step(self, batch: Batch[ImageInput, OpenedViews]) -> list[list[list[Output]]]:
        results: list[list[list[Output]]] = [[] for _ in batch.prepared]
        for turn in range(len(batch.prepared[0].views)):
            outputs = []
            for number, detector in enumerate(self.detectors):
                views = [opened.views[turn][number] for opened in batch.prepared]
                factors = [
                    detector.view.factor((opened.height, opened.width)) for opened in batch.prepared
                ]
                outputs.append(detector.outputs_of(views, factors))
            for result, row in zip(results, zip(*outputs, strict=True), strict=True):
                result.append(list(row))
        return results

    def finish(self, prepared: OpenedViews, result: list[list[Output]]) -> dict[str, Any]:
        judged = stable_judgement([self.ensemble.judge(outputs) for outputs in result])
        calibration = self.ensemble.calibration
        return asdict(judged) | {
            "prior": calibration.prior if calibration is not None and calibration.images else None,
            "width": prepared.width,
            "height": prepared.height,
            **prepared.facts,
        }

    def write(self, source: ImageInput, finished: dict[str, Any]) -> dict[str, Any]:
        return finished


@dataclass(frozen=True)
class Scan:
    """Outcome of a scan.

    Attributes:
        findings: A finding for each image, in the order of the inputs.
        report: Report of the job.
        ensemble: The detectors, on the device of the scan.
    """

    findings: list[Finding]
    report: Report
    ensemble: Ensemble


def scan(
    inputs: Sequence[Path],
    output: Path,
    names: Sequence[str],
    options: JobOptions | None = None,
    max_fpr: float | None = None,
    prevalence: float | None = None,
    stable: bool = False,
    rule: CropRule | None = None,
) -> Scan | None:
    """Score every image into a CSV file.

    A stopped run is continued. Its record is ``OUTPUT.run``, a folder beside the file.

    Args:
        inputs: Folders, image files, shards and lists; see :func:`images.inputs.find_images`.
        output: CSV file to write.
        names: Folder, Hub id or .ckpt file of a detector; folder of an ensemble; or several
            detectors.
        options: Options of the job.
        max_fpr: Rate of the operating point of the verdicts; None for the calibration's.
        prevalence: Share of generated images that P assumes; None for the calibration's.
        stable: Say "unsure" where the verdict on another crop, or after a mild encoding, differs.
        rule: Crops to judge; None for the calibration's.

    Returns:
        The outcome; None on every process but the first.

    Raises:
        FileNotFoundError: If an input, its images or a detector are missing.
        ValueError: If the file exists and is no earlier run's, a detector is given twice or lacks
            the calibration that an ensemble needs, there is no such operating point, a calibration
            is of other crops, or a stopped run used other detectors or settings.
    """
    # refuse one detector twice, and foreign files
    digests = [weights_digest(name) for name in names]
    refuse_twice(names, digests)
    record = output.with_name(f"{output.name}.run")
    if read_manifest(record) is None:
        refuse_existing(output)
    # score the images
    ensemble = Ensemble.open(names, max_fpr, prevalence, rule)
    found = find_images(inputs)
    report = run_job(
        ScanJob(ensemble, output, stable),
        found.images,
        record,
        {
            "detectors": dict(zip(map(str, names), digests, strict=True)),
            "max_fpr": max_fpr,
            "prevalence": prevalence,
            "stable": stable,
            "crops": None if rule is None else str(rule),
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
    return Scan(findings, report, ensemble)


def weights_digest(name: str) -> str:
    """Hash a detector: its weights, views and calibration; or an ensemble."""
    location = model_path(name)
    if location.is_file():
        return file_digest(location)
    names = ("model.safetensors", "config.json", "calibration.json", ENSEMBLE)
    files = [location / part for part in names]
    return " ".join(file_digest(file) for file in files if file.is_file())
