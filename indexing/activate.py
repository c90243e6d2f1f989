"""The ``activate`` job: photos in, imperceptibly changed photos out that an index finds again after edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from torch import Tensor

from datamodules.photos import OpenedPhoto, PhotoDataModule, PhotoDataset
from engine.files import file_digest
from engine.jobs import job_trainer
from engine.manifest import claim, write_manifest
from images.inputs import find_images, guard, inputs_digest
from images.io import Photo
from images.outputs import output_names
from indexing.activate_writer import ActivatedWriter, Row, read_rows
from indexing.activation import ActivationConfig, Objective, activate
from indexing.extract import extract
from indexing.index import TRAINED, Index, index_files, read_facts, read_faiss
from indexing.targets import Kind, find_targets
from models.embedder_config import EmbedderConfig
from models.embedders import Embedder, open_embedder
from models.preprocessing import Preprocessing

ORIGINALS = "originals"
"""Folder of the original pictures' descriptors among the results: what is inserted in the index."""

PIXELS = 16_000_000
"""Most pixels changed at a time: about 2 GB with all that the optimiser keeps."""


@dataclass(frozen=True)
class Place:
    """An index pictures are to be found in, trained, and the extractor of its descriptors."""

    trained: Any
    extractor: Embedder
    facts: dict[str, Any]
    digest: str

    @property
    def view(self) -> Preprocessing:
        """What the extractor sees of an image."""
        return self.extractor.preprocess

    def record(self) -> dict[str, Any]:
        """What tells it from others."""
        return {"sha256": self.digest} | {key: self.facts.get(key) for key in ("factory", "metric", "extractor")}


@dataclass(frozen=True)
class Change:
    """What became of one picture: its grey levels (3, H, W), and squared distances to the first index's target before and after."""

    levels: Tensor
    before: float
    after: float


class Activate(LightningModule):
    """Activation as a ``predict`` job: opened photos in, :class:`Change` for each that could be read.

    Args:
        places: Indices.
        kind: Of targets.
        config: Of the change.
    """

    def __init__(self, places: Sequence[Place], kind: Kind, config: ActivationConfig) -> None:
        super().__init__()
        self.places, self.kind, self.config = places, kind, config
        self.extractors = torch.nn.ModuleList({id(place.extractor): place.extractor for place in places}.values())

    def predict_step(self, batch: list[OpenedPhoto], _: int) -> list[Change]:
        images = [photo.views[0] for photo in batch if photo.views is not None]
        return [change for portion in portions(images) for change in self.change(portion)]

    def change(self, images: Sequence[Tensor]) -> list[Change]:
        """Activate pictures, (3, H, W) in [0, 1] each, together."""
        with torch.inference_mode(False):  # gradients are needed, with respect to pictures alone
            images = [image.to(self.device).clone() for image in images]
            found = [descriptors(place.extractor, images) for place in self.places]
            targets = [find_targets(place.trained, rows, self.kind).vectors for place, rows in zip(self.places, found, strict=True)]
            objectives = [
                Objective(place.extractor.embed_images, place.view.side, place.view.antialias, torch.from_numpy(goal))
                for place, goal in zip(self.places, targets, strict=True)
            ]
            levels = [picture.cpu() for picture in activate(images, objectives, self.config).levels]
        after = descriptors(self.places[0].extractor, [picture.to(self.device).float() / 255 for picture in levels])
        before, then = (np.square(rows - targets[0]).sum(axis=1).tolist() for rows in (found[0], after))
        return [Change(*parts) for parts in zip(levels, before, then, strict=True)]


def portions(images: Sequence[Tensor]) -> list[list[Tensor]]:
    """Pictures in groups of at most :data:`PIXELS` together, or alone; the optimiser holds several copies of each."""
    groups: list[list[Tensor]] = []
    held = PIXELS + 1
    for image in images:
        pixels = image.shape[-2] * image.shape[-1]
        if held + pixels > PIXELS:
            groups.append([])
            held = 0
        groups[-1].append(image)
        held += pixels
    return groups


@torch.no_grad()
def descriptors(extractor: Embedder, images: Sequence[Tensor]) -> np.ndarray:
    """Descriptors, (B, D), of (3, H, W) pictures in [0, 1] of any sizes."""
    views = [extractor.preprocess.of_tensors(image.unsqueeze(0)) for image in images]
    return extractor.embed_images(torch.cat(views)).cpu().numpy()


@dataclass(frozen=True)
class ActivateReport:
    """A row per photo, and why others were passed over."""

    rows: list[Row]
    skipped: dict[str, str]

    @property
    def done(self) -> list[Row]:
        return [row for row in self.rows if not row.error]

    @property
    def failed(self) -> list[Row]:
        return [row for row in self.rows if row.error]


def open_places(indices: Sequence[Path], extractors: Sequence[EmbedderConfig]) -> list[Place]:
    """Indices with their extractors, each extractor opened once.

    Raises:
        FileNotFoundError: If an index or extractor is not there.
        ValueError: If their numbers do not match, or an index was built with another extractor.
    """
    if len(extractors) not in (1, len(indices)):
        msg = f"{len(indices)} indices and {len(extractors)} extractors: give one extractor for all, or one for each index"
        raise ValueError(msg)
    opened = [open_embedder(config) for config in extractors]
    places = []
    for number, folder in enumerate(indices):
        extractor = opened[number if len(opened) > 1 else 0]
        name = extractor.config.name
        if extractor.preprocess.on != "float":
            msg = f"{name} resizes 8-bit values, through which no gradient flows; activate for an index of another extractor"
            raise ValueError(msg)
        facts = read_facts(folder)
        file = folder / TRAINED if (folder / TRAINED).is_file() else index_files(folder, facts)[0]
        trained = read_faiss(file)
        Index(trained, [], facts).check(extractor.fingerprint, extractor.dimension, f"descriptors of {name}")
        places.append(Place(trained, extractor, facts, file_digest(file)))
    return places


def activate_photos(
    inputs: Sequence[Path],
    output: Path,
    indices: Sequence[Path],
    extractors: Sequence[EmbedderConfig],
    config: ActivationConfig,
    target: Kind = "auto",
    batch_size: int = 16,
    workers: int = 2,
    accelerator: str = "auto",
) -> ActivateReport:
    """Change every photo of the inputs into ``output``, with ``activated.csv`` and ``manifest.json``; a stopped job goes on.

    Args:
        inputs: Folders, picture files, shards and lists; see :func:`images.inputs.find_images`.
        output: Folder of the results.
        indices: Folders of the indices the photos are to be found in.
        extractors: One for all of them, or one for each.
        config: How.
        target: Where descriptors are drawn to; see :func:`indexing.targets.find_targets`.
        batch_size: Photos at a time.
        workers: Processes that open photos, and threads that save them.
        accelerator: auto, cpu or gpu.

    Raises:
        FileNotFoundError: If an input, its pictures, an index or an extractor is not there.
        ValueError: If an index is of another extractor or gives nothing to aim at, two photos would be saved under one name, or the
            folder holds another job or lies inside an input.
    """
    places = open_places(indices, extractors)
    found = find_images(inputs)
    files, names = found.images, output_names(found.images, "png")
    guard(output, inputs, files, [output / name for name in names.values()])
    if config.views == 0:
        for place, folder in zip(places, indices, strict=True):
            _refuse_exact(place, folder, target)
    settings = {
        "inputs": inputs_digest(files),
        "target": target,
        "activation": asdict(config),
        "indices": [place.record() for place in places],
    }
    claim(output, "indexing activate", settings)
    earlier = [row for row in read_rows(output) if (output / row.output).is_file() and not row.error]
    known = {row.source for row in earlier}
    todo = [file for file in files if file.name not in known]
    writer = ActivatedWriter(output, names, earlier, len(files), workers)
    try:
        if todo:
            data = PhotoDataModule(PhotoDataset(todo, whole), batch_size, workers)
            trainer = job_trainer(accelerator, callbacks=[writer], enable_progress_bar=False)
            trainer.predict(Activate(places, target, config), data, return_predictions=False)
    finally:
        writer.close()
    order = {file.name: place for place, file in enumerate(files)}
    rows = sorted((row for row in read_rows(output) if row.source in order), key=lambda row: order[row.source])
    rows += [Row(name, error=error) for name, error in found.failed.items()]
    report = ActivateReport(rows, found.skipped)
    if report.done:
        extract(inputs, output / ORIGINALS, extractors[0], 4 * batch_size, workers, accelerator)
    writer.journal.finish(asdict(row) for row in rows)
    counts = {"done": len(report.done), "failed": len(report.failed), "skipped": len(found.skipped)}
    failed = {row.source: row.error for row in report.failed}
    facts: dict[str, Any] = {"counts": counts, "failed": failed, "skipped": found.skipped}
    write_manifest(output, command="indexing activate", finished=True, settings=settings, **facts)
    return report


def whole(photo: Photo) -> tuple[Photo, Tensor]:
    """A photo, and itself as the one view."""
    return photo, photo.tensor().unsqueeze(0)


def _refuse_exact(place: Place, folder: Path, target: Kind) -> None:
    probe = np.random.default_rng(0).normal(size=(4, place.trained.d)).astype(np.float32)
    if find_targets(place.trained, probe, target).kind == "feature":
        msg = (
            f"{folder}: {place.facts.get('factory')} keeps descriptors as they are, so there is nothing to draw a picture to but its own "
            "descriptor; set views to 4 or more to hold its edited copies there, or use an index with cells or codes"
        )
        raise ValueError(msg)
