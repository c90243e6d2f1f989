"""The ``protect`` job: photos of any kind and size in, protected photos of the same size out, lossless, and a record of the run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from lightning import LightningModule
from torch import Tensor

from checkpoints.folders import model_place
from datamodules.photos import OpenedPhoto, PhotoDataModule, PhotoDataset
from engine.csv_journal import Journal, read_journal
from engine.jobs import job_trainer
from engine.manifest import fingerprint, write_manifest
from images.inputs import ImageInput, find_images, guard
from images.io import Photo, without_metadata
from images.outputs import ImageTree
from images.transforms.geometry import center_crop_photo
from rid.protect.protector import Protector
from rid.protect.windows import Fit, Windows
from rid.protect.writer import COLUMNS, ENDING, Format, Outputs, PhotoWriter, Row

TABLE = "protected.csv"


@dataclass(frozen=True)
class ProtectConfig:
    """How to protect.

    Attributes:
        weights: Generator folder or Hub id.
        fit: ``resize`` computes the perturbation on the photo scaled to the generator's side and carries it back, ``tile``
            computes it at the photo's own size in overlapping windows, ``crop`` scales and centre-crops the photo itself, as
            RID's own programs do.
        format: ``png``, lossless, or ``jpeg`` (quality 95, full colour resolution), which weakens the protection.
        strip_metadata: Leave EXIF notes and colour profile out; colours are brought to sRGB.
        precision: Of the network: 32, bf16 or 16.
        compile: Compile the network first; worth it for large jobs.
        batch_size: Photos read at a time, and windows per forward pass.
        workers: Processes that read photos and threads that finish them, beside the network.
        accelerator: auto, cpu or gpu.
    """

    weights: str = "checkpoints/tiny/rid"
    fit: Literal["resize", "tile", "crop"] = "resize"
    format: Format = "png"
    strip_metadata: bool = False
    precision: Literal["32", "bf16", "16"] = "32"
    compile: bool = False
    batch_size: int = 8
    workers: int = 2
    accelerator: str = "auto"

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.workers < 0:
            msg = f"batch_size must be at least 1 and workers at least 0, got {self.batch_size} and {self.workers}"
            raise ValueError(msg)


class ProtectTask(LightningModule):
    """The protector as a ``predict`` job: opened photos in, perturbations of their windows out."""

    def __init__(self, protector: Protector) -> None:
        super().__init__()
        self.protector = protector

    def predict_step(self, batch: list[OpenedPhoto], _: int) -> list[Tensor]:
        return self.protector.perturb([photo.views for photo in batch if photo.views is not None])


@dataclass(frozen=True)
class ProtectReport:
    """What became of a job: a row per photo, why others were passed over, and the budget in grey levels."""

    rows: list[Row]
    skipped: dict[str, str]
    budget: float

    @property
    def done(self) -> list[Row]:
        return [row for row in self.rows if not row.error]

    @property
    def failed(self) -> list[Row]:
        return [row for row in self.rows if row.error]


def protect(inputs: Sequence[Path], output: Path, config: ProtectConfig, resume: bool = False) -> ProtectReport:
    """Protect every picture of the inputs into ``output``, with ``protected.csv`` and ``manifest.json``.

    Args:
        inputs: Folders, picture files, shards and lists; see :func:`images.inputs.find_images`.
        output: Folder of the results.
        config: How.
        resume: Go on with a run that was stopped; its finished photos are not done again.

    Raises:
        FileNotFoundError: If an input, its pictures or the weights are not there.
        ValueError: If the weights are not a generator, the output folder lies inside an input folder, holds other files or
            a run with other settings, or two photos would be saved under one name.
    """
    protector = Protector.from_pretrained(config.weights, "resize" if config.fit == "crop" else config.fit, config.precision)
    found = find_images(inputs)
    photos, tree = found.images, ImageTree(output, found.images, ENDING[config.format])
    weights = fingerprint(config.weights, model_place(config.weights))
    settings = {"weights": weights, "fit": config.fit, "format": config.format, "strip_metadata": config.strip_metadata}
    guard(output, inputs, photos, tree.targets())
    _check_output(output, settings, resume)
    output.mkdir(parents=True, exist_ok=True)
    earlier = _finished(output, photos, tree) if resume else []
    journal = Journal(output / TABLE, COLUMNS, (asdict(row) for row in earlier))
    write_manifest(output, command="rid protect", finished=False, settings=settings)
    if config.compile:
        protector.generator.compile()
    known = {row.source for row in earlier}
    todo = [photo for photo in photos if photo.name not in known]
    side, threads = protector.generator.image_size, config.workers
    outputs = Outputs(tree, config.format, journal)
    writer = PhotoWriter(outputs, protector.budget, protector.fit, side, threads, len(photos), len(earlier))
    prepare = partial(prepare_photo, side=side, fit=config.fit, strip=config.strip_metadata)
    try:
        if todo:
            data = PhotoDataModule(PhotoDataset(todo, prepare), config.batch_size, config.workers)
            trainer = job_trainer(config.accelerator, callbacks=[writer], enable_progress_bar=False)  # the writer's bar counts photos
            trainer.predict(ProtectTask(protector), data, return_predictions=False)
    finally:
        writer.close()
    order = {photo.name: index for index, photo in enumerate(photos)}
    rows = sorted(earlier + writer.rows, key=lambda row: order[row.source])
    rows += [Row(name, error=error) for name, error in found.failed.items()]
    report = ProtectReport(rows, found.skipped, protector.budget)
    journal.finish(asdict(row) for row in report.rows)
    counts = {"done": len(report.done), "failed": len(report.failed), "skipped": len(found.skipped)}
    failed = {row.source: row.error for row in report.failed}
    facts: dict[str, Any] = {"budget_levels": protector.budget, "counts": counts, "failed": failed, "skipped": found.skipped}
    write_manifest(output, command="rid protect", finished=True, settings=settings, **facts)
    return report


def prepare_photo(photo: Photo, side: int, fit: Literal["resize", "tile", "crop"], strip: bool) -> tuple[Photo, Tensor]:
    """The photo to protect, and the generator's views of it, (n, 3, side, side)."""
    if strip:
        photo = without_metadata(photo)
    if fit == "crop":
        photo = center_crop_photo(photo, side)
    way: Fit = "resize" if fit == "crop" else fit
    return photo, Windows.cover((photo.rgb.shape[0], photo.rgb.shape[1]), side, way).cut(photo.tensor())


def _check_output(output: Path, settings: dict[str, Any], resume: bool) -> None:
    manifest = output / "manifest.json"
    if not output.is_dir() or not any(output.iterdir()):
        return
    if not manifest.is_file():
        msg = f"the output folder {output} holds files that are not an earlier run's: choose an empty or a new one"
        raise ValueError(msg)
    earlier = json.loads(manifest.read_text())
    if resume and earlier.get("settings") != json.loads(json.dumps(settings)):
        msg = f"{output} holds a run with other weights or settings: choose another folder, or repeat that run's settings to resume it"
        raise ValueError(msg)
    if not resume and not earlier.get("finished"):
        msg = f"{output} holds a run that was stopped: add --resume to go on with it, or choose another folder"
        raise ValueError(msg)


def _finished(output: Path, photos: list[ImageInput], tree: ImageTree) -> list[Row]:
    """Rows of an earlier run whose results are whole."""
    lines = {line["source"]: line for line in read_journal(output / TABLE)}
    rows = []
    for photo in photos:
        line = lines.get(photo.name)
        if line is not None and tree.exists(photo) and (not line["error"] or photo.group):
            rows.append(_parse(line))
    return rows


def _parse(line: dict[str, str]) -> Row:
    numbers: dict[str, Any] = {key: int(line[key]) if line[key] else None for key in ("width", "height", "levels")}
    numbers |= {key: float(line[key]) if line[key] else None for key in ("psnr", "ssim")}
    return Row(line["source"], line["output"], error=line["error"], **numbers)
