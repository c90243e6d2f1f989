"""``python -m detectors scan``: a calibrated verdict on every picture of a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from checkpoints.folders import model_place
from datamodules.photos import PhotoDataModule
from detectors.calibration import Calibration, Verdict
from detectors.detector import Detector, load_detector
from engine.csv_journal import Journal, journal_file, read_journal
from engine.files import file_digest
from engine.jobs import job_trainer
from images.inputs import ImageInput, find_images
from images.io import UnreadableImage
from images.transforms.views import View


@dataclass(frozen=True)
class Finding:
    """What was found of one file: a line of the table.

    ``probability`` is the calibrated P(generated). It and ``verdict`` are empty, and ``error`` is not, where the file could not be read.
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
class Seen:
    """One file as a loader process hands it over: its size and its view, (3, S, S) in [0, 1], or why it could not be opened."""

    name: str
    view: Tensor | None = None
    width: int | None = None
    height: int | None = None
    error: str = ""


class Views(Dataset[Seen]):
    """What a detector sees of photos."""

    def __init__(self, files: Sequence[ImageInput], view: View) -> None:
        self.files, self.view = files, view

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Seen:
        file = self.files[index]
        try:
            rgb = file.open().rgb
        except UnreadableImage as error:
            return Seen(file.name, error=str(error))
        return Seen(file.name, self.view(rgb, np.random.default_rng(0)), rgb.shape[1], rgb.shape[0])


class Scan(LightningModule):
    """The detector as a ``predict`` job: opened photos in, findings out."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def predict_step(self, batch: list[Seen], _: int) -> list[Finding]:
        views = [photo.view.unsqueeze(0) for photo in batch if photo.view is not None]
        groups = [torch.cat(views)] if len({view.shape for view in views}) == 1 else views  # whole pictures have any size
        logits = torch.cat([self.detector(group.to(self.device)) for group in groups]).double().tolist() if views else []
        answers = iter(logits)
        return [finding(photo, self.detector.calibration, answers) for photo in batch]


def finding(photo: Seen, calibration: Calibration, answers: Iterator[float]) -> Finding:
    """The line of a photo; the next of the answers is its own if it could be read."""
    if photo.view is None:
        return Finding(photo.name, error=photo.error)
    logit = next(answers)
    probability = float(calibration.probability(np.array(logit)))
    return Finding(photo.name, calibration.verdict(probability), probability, logit, photo.width, photo.height)


class FindingWriter(Callback):
    """Appends findings to the table that is growing, batch by batch, with a progress bar."""

    def __init__(self, journal: Journal, total: int, done: int) -> None:
        self.journal = journal
        self.bar = tqdm(total=total, initial=done, unit=" pictures")

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: list[Finding], *_: object) -> None:
        self.journal.add(asdict(row) for row in outputs)
        self.bar.update(len(outputs))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.bar.close()


def scan(
    inputs: Sequence[Path],
    output: Path,
    name: str,
    batch_size: int = 16,
    num_workers: int = 2,
    accelerator: str = "auto",
    resume: bool = False,
) -> tuple[list[Finding], dict[str, str]]:
    """Score every picture into a CSV file, which appears when all are done.

    Args:
        inputs: Folders, picture files, shards and lists; see :func:`images.inputs.find_images`.
        output: The CSV file.
        name: The detector's folder or Hub id.
        batch_size: Pictures at a time.
        num_workers: Processes that open pictures.
        accelerator: Lightning's: auto, cpu, gpu.
        resume: Go on with a run that was stopped; its finished pictures are not done again.

    Returns:
        A finding for each picture, in the inputs' order; and why, by name, others were passed over.

    Raises:
        FileNotFoundError: If an input, its pictures or the detector are not there.
        ValueError: If the file is there already, or a stopped run used another detector.
    """
    detector = load_detector(name)
    inside = find_images(inputs)
    photos = inside.images
    digest = weights_digest(name)
    begun = output.with_name(output.name + ".detector")
    if output.exists() and not resume:
        msg = f"{output} exists already: choose another name, delete it, or add --resume"
        raise ValueError(msg)
    earlier = _finished(output, begun, digest) if resume else []
    output.parent.mkdir(parents=True, exist_ok=True)
    begun.write_text(digest)
    journal = Journal(output, COLUMNS, (asdict(row) for row in earlier))
    known = {row.file for row in earlier}
    todo = [photo for photo in photos if photo.name not in known]
    if todo:
        data = PhotoDataModule(Views(todo, detector.view), batch_size, num_workers)
        writer = FindingWriter(journal, len(photos), len(earlier))
        trainer = job_trainer(accelerator, callbacks=[writer], enable_progress_bar=False)
        trainer.predict(Scan(detector), data, return_predictions=False)
    order = {photo.name: index for index, photo in enumerate(photos)}
    found = sorted((row for row in read_table(output) if row.file in order), key=lambda row: order[row.file])
    found += [Finding(name, error=error) for name, error in inside.failed.items()]
    journal.finish(asdict(row) for row in found)
    begun.unlink()
    return found, inside.skipped


def weights_digest(name: str) -> str:
    """Hash a detector: its weights, view and calibration."""
    place = model_place(name)
    if place.is_file():
        return file_digest(place)
    parts = [place / part for part in ("model.safetensors", "config.json", "calibration.json")]
    return " ".join(file_digest(part) for part in parts if part.is_file())


def read_table(file: Path) -> list[Finding]:
    """The findings of a table, or of one that is growing."""

    def number(value: str) -> float | None:
        return float(value) if value else None

    return [
        Finding(
            file=row["file"],
            verdict=row["verdict"],
            probability=number(row["probability"]),
            logit=number(row["logit"]),
            width=int(row["width"]) if row["width"] else None,
            height=int(row["height"]) if row["height"] else None,
            error=row["error"],
        )
        for row in read_journal(file)
    ]


def _finished(table: Path, begun: Path, digest: str) -> list[Finding]:
    """What a stopped run has found so far; files it could not read are tried again."""
    if not journal_file(table).is_file():
        return []
    if not begun.is_file() or begun.read_text() != digest:
        msg = f"{journal_file(table)} is of a run with another detector: delete it, or use that detector"
        raise ValueError(msg)
    return [row for row in read_table(table) if not row.error]
