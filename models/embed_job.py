"""Embedding job: keeps the vectors of an image collection up to date."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.devices import Process, is_first_process
from engine.files import PARTIAL, locked
from engine.job import Batch, Job, JobOptions, Report
from engine.journal import Entry, join_journals, read_journal
from engine.manifest import MANIFEST, write_manifest
from engine.run_job import run_job
from images.inputs import ImageInput, JobInputs
from models.embed_parts import in_part, vector_blocks
from models.embedders import Embedder
from models.store import StoredImage, VectorStore, check_name, write_vectors
from models.store_files import TORCH_MATRICES
from models.store_parts import PARTS_INDEX, Parts, holds_parts

log = logging.getLogger(__name__)

Vector = NDArray[np.float32]

ADOPTION_POLLS = 600
"""Polls, 0.1 s each, for the first process to convert a store of the first format."""


@dataclass(frozen=True)
class EmbedReport:
    """Result of an embedding job.

    Attributes:
        store: The vectors.
        job: Report of done, failed and skipped images.
        dropped: Number of images removed from the collection.
    """

    store: VectorStore
    job: Report
    dropped: int

    @property
    def embedded(self) -> int:
        """Number of new vectors."""
        return len(self.job.rows) - self.job.done_before

    @property
    def kept(self) -> int:
        """Number of vectors from earlier runs."""
        return self.job.done_before

    @property
    def nothing_to_do(self) -> bool:
        """Return True if an earlier run had done everything."""
        return self.job.nothing_to_do and not self.dropped


class EmbedJob(Job[ImageInput, Tensor, Vector, Vector]):
    """Batch job from images to vectors.

    Each process appends to its own file until all vectors are done.

    Args:
        embedder: The model.
        folder: Folder of the vectors.
        command: Name of the command, such as ``indexing extract``.
        earlier: Complete vectors of an earlier run; None without.
    """

    def __init__(
        self, embedder: Embedder, folder: Path, command: str, earlier: VectorStore | None
    ) -> None:
        self.embedder = embedder
        self.folder = folder
        self.command = command  # type: ignore[misc]
        self.width = 4 * embedder.dimension
        # one image added to a finished folder is one image embedded
        self.steady_batches = earlier is None
        self.known = {image.name: image for image in earlier.images} if earlier is not None else {}
        self.file = folder / f"vectors-0{PARTIAL}"

    def setup(self, process: Process) -> None:
        self.embedder.to(process.device, process.dtype)
        self.file = self.folder / f"vectors-{process.rank}{PARTIAL}"

    def prepare(self, source: ImageInput) -> Tensor:
        return self.embedder.preprocess(source.open().on_white().rgb)

    @torch.inference_mode()
    def step(self, batch: Batch[ImageInput, Tensor]) -> Sequence[Vector]:
        return list(self.embedder.embed_images(torch.stack(batch.prepared)).float().cpu().numpy())

    def finish(self, prepared: Tensor, result: Vector) -> Vector:
        if not np.isfinite(result).all():
            msg = "its vector is not finite; use another model or --precision 32-true"
            raise ValueError(msg)
        return result

    def write(self, source: ImageInput, finished: Vector) -> dict[str, Any]:
        with self.file.open("ab") as stream:
            row = stream.tell() // self.width
            stream.truncate(row * self.width)  # drop an incomplete vector
            stream.write(np.ascontiguousarray(finished, "<f4").tobytes())
        return {"part": self.file.name, "row": row}

    def exists(self, source: ImageInput, row: dict[str, Any]) -> bool:
        if "part" in row:
            return in_part(self.folder, row, self.width)
        image = self.known.get(source.name)
        if image is None or image.size != source.size:
            return False
        return image.mtime_ns == source.mtime_ns or image.sha256 == source.digest()


def embed_images(
    found: JobInputs,
    folder: Path,
    embedder: Embedder,
    command: str,
    options: JobOptions,
    fts: bool = False,
) -> EmbedReport | None:
    """Embed new and changed images, and drop vectors of removed images.

    Args:
        found: The whole collection.
        folder: Folder of the vectors; see :mod:`models.store`.
        embedder: The model.
        command: Name of the command, such as ``indexing extract``.
        options: Devices, batch size and workers.
        fts: Write ``fts.pt`` as well.

    Returns:
        The report; None on every process but the first.

    Raises:
        ValueError: If no image can be embedded, or the folder holds another job or another model's
            vectors.
    """
    # Embed what has no vector yet.
    images, unnamed = _nameable(found.images)
    settings = {"extractor": embedder.record()}
    _adopt(folder, embedder, command, settings)
    earlier = _earlier(folder, embedder)
    job = EmbedJob(embedder, folder, command, earlier)
    report = run_job(job, images, folder, settings, options, found.skipped, found.failed | unnamed)
    if report is None:
        return None
    if not report.rows:
        reason = next(iter(report.failed.values()), "no images")
        count = len(images) + len(found.failed | unnamed)
        msg = f"none of {count} images could be embedded: {reason}"
        raise ValueError(msg)
    # Write the vectors in order, unless nothing has changed.
    table = _table(folder, images, report)
    in_parts = holds_parts(folder) or any(folder.glob(f"vectors-*{PARTIAL}"))
    whole = earlier is not None and not in_parts and earlier.images == table
    if not whole or (fts and not (folder / TORCH_MATRICES[0]).is_file()):
        with locked(folder):
            _compose(job, table, report, earlier, fts)
    return EmbedReport(VectorStore.open(folder, verify=False), report, len(report.stale))


def _nameable(images: Sequence[ImageInput]) -> tuple[list[ImageInput], dict[str, str]]:
    """Split images by whether a list of names can hold their name.

    Returns:
        Valid images without groups, and error messages of the others by name.
    """
    valid = []
    errors = {}
    for image in images:
        try:
            check_name(image.full_name)
        except ValueError as error:
            errors[image.name] = str(error)
        else:
            valid.append(replace(image, group=""))
    return valid, errors


def _earlier(folder: Path, embedder: Embedder) -> VectorStore | None:
    """Open the complete vectors of an earlier run; None without."""
    if holds_parts(folder):
        return None  # their rows are in the journal
    try:
        store = VectorStore.open(folder)
        _ = store.images
    except FileNotFoundError:
        return None
    except ValueError as error:
        log.warning("%s; all images are embedded again", error)
        return None
    store.check_embedder(folder, embedder.fingerprint, embedder.digest)
    return store


def _adopt(folder: Path, embedder: Embedder, command: str, settings: dict[str, Any]) -> None:
    """Convert a store of the first format: its rows become a journal."""
    # Let the first process convert the store.
    if not holds_parts(folder) or (folder / MANIFEST).is_file():
        return
    if not is_first_process():
        for _ in range(ADOPTION_POLLS):
            if (folder / MANIFEST).is_file():
                return
            time.sleep(0.1)
        reason = "the first process did not convert this store"
        msg = f"{folder}: {reason}; run the command once in one process"
        raise ValueError(msg)
    VectorStore.open(folder).check_embedder(folder, embedder.fingerprint, embedder.digest)
    entries = []
    for row in Parts.open(folder).rows:
        place = {"part": row.part, "row": row.row}
        entries.append(Entry(row.name, row.size, row.mtime_ns, row.sha256, place))
    with locked(folder):
        join_journals(folder, entries)
        write_manifest(folder, command=command, finished=False, settings=settings)


def _table(folder: Path, images: Sequence[ImageInput], report: Report) -> list[StoredImage]:
    """List the images that have a vector, in order."""
    sources = {image.name: image for image in images}
    entries = read_journal(folder)
    rows = [(sources[name], entries[name].sha256) for name, _ in report.rows]
    return [
        StoredImage(image.name, image.full_name, image.size, image.mtime_ns, sha256)
        for image, sha256 in rows
    ]


def _compose(
    job: EmbedJob, table: list[StoredImage], report: Report, earlier: VectorStore | None, fts: bool
) -> None:
    """Write the vectors of all images in order, and delete the parts."""
    names = [image.path for image in table]
    embedder = job.embedder
    blocks = vector_blocks(job.folder, embedder.dimension, report.rows, earlier)
    write_vectors(job.folder, blocks, embedder.dimension, names, embedder.record(), table, fts)
    entries = []
    for image in table:
        entries.append(Entry(image.name, image.size, image.mtime_ns, image.sha256, {}))
    join_journals(job.folder, entries)
    parts = [
        *job.folder.glob(f"vectors-*{PARTIAL}"),
        *job.folder.glob("part-*.safetensors"),
        job.folder / PARTS_INDEX,
    ]
    for part in parts:
        part.unlink(missing_ok=True)
