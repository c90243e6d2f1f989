"""The ``activate`` job: photos in, imperceptibly changed photos out that an index finds again after edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.devices import Process
from engine.files import file_digest
from engine.job import Batch, JobOptions, Report
from images.inputs import ImageInput
from images.io import Photo, encode_photo
from images.job import ImageJob, SavedImage, plan_image_job, run_image_job
from images.metrics import compare_images
from images.outputs import ImageTree
from indexing.activation import ActivationConfig, Objective, activate
from indexing.extract import extract
from indexing.faiss_files import read_faiss
from indexing.index import TRAINED, Index, index_files, read_facts
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
    """A changed image: its grey levels (3, H, W), and squared distances to the first index's target before and after."""

    levels: Tensor
    before: float
    after: float


class Activator:
    """Draws images to targets in the space of descriptors.

    Args:
        places: Indices.
        kind: Of targets.
        config: Of the change.
    """

    def __init__(self, places: Sequence[Place], kind: Kind, config: ActivationConfig) -> None:
        self.places, self.kind, self.config = places, kind, config
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Move the extractors to a device."""
        self.device = device
        for place in self.places:
            place.extractor.to(device)

    def change(self, images: Sequence[Tensor]) -> list[Change]:
        """Activate images, (3, H, W) in [0, 1] each, together."""
        images = [image.to(self.device) for image in images]
        found = [descriptors(place.extractor, images) for place in self.places]
        targets = [find_targets(place.trained, rows, self.kind).vectors for place, rows in zip(self.places, found, strict=True)]
        objectives = [
            Objective(place.extractor.embed_images, place.view.side, place.view.antialias, torch.from_numpy(goal))
            for place, goal in zip(self.places, targets, strict=True)
        ]
        levels = [image.cpu() for image in activate(images, objectives, self.config).levels]
        after = descriptors(self.places[0].extractor, [image.to(self.device).float() / 255 for image in levels])
        before, then = (np.square(rows - targets[0]).sum(axis=1).tolist() for rows in (found[0], after))
        return [Change(*parts) for parts in zip(levels, before, then, strict=True)]


class ActivateJob(ImageJob[Photo, Change]):
    """Activates photos.

    Args:
        activator: Changes them.
        tree: Where results go.
    """

    command = "indexing activate"
    unit = "photo"
    table = "activated.csv"
    columns = (
        *("source", "output", "width", "height", "levels", "psnr", "ssim"),
        *("distance_before", "distance_after", "notes", "error"),
    )

    def __init__(self, activator: Activator, tree: ImageTree) -> None:
        self.activator, self.tree = activator, tree

    def setup(self, process: Process) -> None:
        self.activator.to(process.device)

    def prepare(self, source: ImageInput) -> Photo:
        return source.open()

    def step(self, batch: Batch[ImageInput, Photo]) -> list[Change]:
        images = [photo.tensor() for photo in batch.prepared]
        return [change for portion in portions(images) for change in self.activator.change(portion)]

    def finish(self, prepared: Photo, result: Change) -> SavedImage:
        changed = result.levels.permute(1, 2, 0).contiguous().numpy()
        measured = compare_images(prepared.rgb, changed)
        if measured["levels"] == 0:
            msg = "nothing in it changes at these limits, so it would not be activated"
            raise ValueError(msg)
        distances = {"distance_before": round(result.before, 6), "distance_after": round(result.after, 6)}
        row = measured | distances | {"notes": "; ".join(prepared.notes)}
        return SavedImage(encode_photo(replace(prepared, rgb=changed)), row)


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
    views = [extractor.preprocess.from_tensors(image.unsqueeze(0)) for image in images]
    return extractor.embed_images(torch.cat(views)).cpu().numpy()


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
        trained = read_faiss(file, expected=facts.get("sha256", {}).get(file.name))
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
    options: JobOptions | None = None,
) -> Report | None:
    """Change every photo of the inputs into a folder, with ``activated.csv`` and ``manifest.json``; goes on with a stopped run.

    Args:
        inputs: Folders, image files, shards and lists; see :func:`images.inputs.find_images`.
        output: Folder of the results.
        indices: Folders of the indices the photos are to be found in.
        extractors: One for all of them, or one for each.
        config: How.
        target: Where descriptors are drawn to; see :func:`indexing.targets.find_targets`.
        options: How the job runs.

    Returns:
        The outcome; None on every process but the first.

    Raises:
        FileNotFoundError: If an input, its images, an index or an extractor is not there.
        ValueError: If an index is of another extractor or gives nothing to aim at, two photos would be saved under one name, or
            the folder is an input or holds another job or other files.
    """
    options = options or JobOptions(batch_size=16)
    places = open_places(indices, extractors)
    found, tree = plan_image_job(inputs, output, "png")
    if config.views == 0:
        for place, folder in zip(places, indices, strict=True):
            _refuse_exact(place, folder, target)
    settings = {"target": target, "activation": asdict(config), "indices": [place.record() for place in places]}
    report = run_image_job(ActivateJob(Activator(places, target, config), tree), found, settings, options)
    if report is not None and report.rows:
        alone = replace(options, batch_size=4 * options.batch_size, alone=True)  # only this process knows that there are results
        extract(inputs, output / ORIGINALS, extractors[0], alone)
    return report


def _refuse_exact(place: Place, folder: Path, target: Kind) -> None:
    probe = np.random.default_rng(0).normal(size=(4, place.trained.d)).astype(np.float32)
    if find_targets(place.trained, probe, target).kind == "feature":
        msg = (
            f"{folder}: {place.facts.get('factory')} keeps descriptors as they are, so there is nothing to draw a picture to but its own "
            "descriptor; set views to 4 or more to hold its edited copies there, or use an index with cells or codes"
        )
        raise ValueError(msg)
