"""The ``extract`` job: a descriptor of every picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor
from tqdm import tqdm

from datamodules.photos import OpenedPhoto, PhotoDataModule, PhotoDataset
from engine.jobs import job_trainer
from engine.manifest import claim, write_manifest
from images.inputs import Found, ImageInput, find_images, guard, inputs_digest
from images.io import Photo, UnreadableImage
from indexing.features import Features, read_features, write_features
from models.embedder_config import EmbedderConfig
from models.embedders import Embedder, open_embedder

ROWS, STATE = "rows.npy.partial", "state.npy.partial"
WAITING, DONE, FAILED = 0, 1, 2


@dataclass(frozen=True)
class Described:
    """Descriptors, (n, D), of those pictures of a batch that could be read, and which these are."""

    descriptors: Tensor
    readable: list[bool]


class Describe(LightningModule):
    """The extractor as a ``predict`` job."""

    def __init__(self, extractor: Embedder) -> None:
        super().__init__()
        self.extractor = extractor

    def predict_step(self, batch: list[OpenedPhoto], _: int) -> Described:
        views = [photo.views for photo in batch if photo.views is not None]
        found = self.extractor.embed_images(torch.cat(views)).cpu() if views else torch.empty(0, 0)
        return Described(found, [photo.views is not None for photo in batch])


class FeatureWriter(BasePredictionWriter):
    """Writes each process's rows into one matrix on disk, and what became of each, so that a stopped job can go on.

    Args:
        folder: Where ``rows.npy.partial`` and ``state.npy.partial`` are.
        places: Row of each file, by its name.
        total: Pictures of the whole job.
        already: How many are done.
    """

    def __init__(self, folder: Path, places: dict[str, int], total: int, already: int) -> None:
        super().__init__("batch")
        self.rows = np.lib.format.open_memmap(folder / ROWS, mode="r+")
        self.state = np.lib.format.open_memmap(folder / STATE, mode="r+")
        self.places = places
        self.bar = tqdm(total=total, initial=already, unit=" pictures", disable=None)

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Described,
        batch_indices: Sequence[int] | None,
        batch: list[OpenedPhoto],
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        found = iter(prediction.descriptors.numpy())
        for opened, readable in zip(batch, prediction.readable, strict=True):
            place = self.places[opened.file.name]
            if readable:
                self.rows[place] = next(found)
                self.rows.flush()  # the row before the mark that it is there
            self.state[place] = DONE if readable else FAILED
        self.bar.update(len(batch))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.state.flush()
        self.bar.close()


@dataclass(frozen=True)
class ExtractReport:
    """What became of a job: the features, pictures that could not be read, and files that are none."""

    features: Features
    failed: list[str]
    skipped: dict[str, str]


def view(photo: Photo, extractor: Embedder) -> tuple[Photo, Tensor]:
    """A photo and what the network sees of it."""
    return photo, extractor.preprocess(photo.rgb).unsqueeze(0)


def extract(
    inputs: Sequence[Path],
    output: Path,
    extractor: EmbedderConfig,
    batch_size: int = 64,
    workers: int = 2,
    accelerator: str = "auto",
    devices: int = 1,
    fts: bool = False,
) -> ExtractReport | None:
    """Describe every picture into a folder; a stopped job in it goes on.

    Args:
        inputs: Folders, picture files, shards and lists; see :func:`images.inputs.find_images`.
        output: Folder of ``features.npy``, ``filenames.txt`` and the record.
        extractor: The network.
        batch_size: Pictures at a time.
        workers: Processes that open pictures, beside the network.
        accelerator: auto, cpu or gpu.
        devices: Processes with the network; pictures are shared out among them.
        fts: Write the matrix as ``fts.pt``, too, as active indexing's published programs do.

    Returns:
        None on every process but the first.

    Raises:
        FileNotFoundError: If an input, its pictures or the network are not there.
        ValueError: If the network is not one, no picture can be read, or the folder holds another job.
    """
    network = open_embedder(extractor)
    found = find_images(inputs)
    files = found.images
    guard(output, inputs, files)
    facts = network.record()
    settings = {"inputs": inputs_digest(files), "extractor": facts}
    claim(output, "indexing extract", settings)
    state = _begin(output, len(files), int(facts["dimension"]))
    todo = [file for file, mark in zip(files, state, strict=True) if mark != DONE]
    if todo:
        writer = FeatureWriter(output, {file.name: place for place, file in enumerate(files)}, len(files), len(files) - len(todo))
        data = PhotoDataModule(PhotoDataset(todo, partial(view, extractor=network)), batch_size, workers)
        trainer = job_trainer(accelerator, min(devices, len(todo)), callbacks=[writer], enable_progress_bar=False)
        trainer.predict(Describe(network), data, return_predictions=False)
        trainer.strategy.barrier()
        if not trainer.is_global_zero:
            return None
    return _finish(output, found, facts, settings, fts)


def _begin(output: Path, count: int, dimension: int) -> np.ndarray:
    """What became of each picture so far; a matrix for all of them is laid out if there is none."""
    rows, state = output / ROWS, output / STATE
    if rows.is_file() and state.is_file():
        marks = np.load(state)
        if len(marks) == count:
            return marks
    for file, shape, kind in ((rows, (count, dimension), np.float32), (state, (count,), np.uint8)):
        beside = file.with_suffix(".new")
        np.lib.format.open_memmap(beside, mode="w+", dtype=kind, shape=shape).flush()
        beside.replace(file)
    return np.zeros(count, dtype=np.uint8)


def _finish(output: Path, found: Found, facts: dict[str, Any], settings: dict[str, Any], fts: bool) -> ExtractReport:
    files = found.images
    state = np.load(output / STATE)
    kept = np.flatnonzero(state == DONE)
    failed = [_fault(files[place]) for place in np.flatnonzero(state != DONE)] + [*found.failed.values()]
    if not len(kept):
        msg = f"not one of {len(files)} images could be described: {failed[0]}"
        raise ValueError(msg)
    rows = np.load(output / ROWS, mmap_mode="r")
    names = [files[place].full_name for place in kept]
    write_features(output, Features(rows if len(kept) == len(files) else rows[kept], names, facts), fts)
    del rows
    (output / ROWS).unlink()
    (output / STATE).unlink()
    counts = {"done": len(kept), "failed": len(failed), "skipped": len(found.skipped)}
    write_manifest(output, command="indexing extract", finished=True, settings=settings, counts=counts, failed=failed)
    return ExtractReport(read_features(output), failed, found.skipped)


def _fault(file: ImageInput) -> str:
    """What is wrong with a picture; asked again at the end, as another process may have met it, or an earlier run."""
    try:
        file.open()
    except UnreadableImage as error:
        return str(error)
    return f"{file.path}: it could not be read at the time; run the command again"
