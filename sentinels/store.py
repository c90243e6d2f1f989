"""A collection's vectors on disk: each file is known by its content, so that only new and changed pictures are embedded.

A store is a folder: ``index.json`` says which file's vector is in which row of which part; parts are safetensors files that are never
changed, only added and, when there are many, joined.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor
from tqdm import tqdm

from datamodules.photos import OpenedPhoto, PhotoDataModule, PhotoDataset
from engine.files import file_digest, write_text
from engine.jobs import job_trainer
from images.inputs import ImageInput
from images.io import Photo
from models.embedders import Embedder

FORMAT = 1
PART = 16384
"""Vectors after which a part is written while a long job runs, so that little is lost when it is stopped."""

MOST_PARTS = 32
LARGEST_HEADER = 2**20


@dataclass(frozen=True)
class Row:
    """Where a file's vector is, and which content it was made of."""

    name: str
    path: str
    size: int
    mtime_ns: int
    sha256: str
    part: str
    row: int


@dataclass(frozen=True)
class Update:
    """What an update did: files embedded, files whose vectors were there already, files that are gone, and those that cannot be read."""

    embedded: int
    kept: int
    dropped: int
    failed: dict[str, str]


class Store:
    """The vectors of a collection by one model.

    Args:
        folder: Where they are; made when first written.
        model: Which weights and view, as plain values; a store of another model is refused.

    Raises:
        ValueError: If the folder holds another model's vectors, or is damaged.
    """

    def __init__(self, folder: Path, model: dict[str, Any]) -> None:
        self.folder, self.model = folder, json.loads(json.dumps(model, default=str))
        self.rows: dict[str, Row] = {}
        index = folder / "index.json"
        if index.is_file():
            try:
                content = json.loads(index.read_text(encoding="utf-8"))
                known, rows = content["model"], [Row(**row) for row in content["rows"]]
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                msg = f"{index} is damaged ({error!r}); delete {folder} and embed again"
                raise ValueError(msg) from error
            if content.get("format") != FORMAT or known != self.model:
                msg = f"{folder} holds vectors of another model or version ({known.get('name')}): use another folder, or delete it"
                raise ValueError(msg)
            self.rows = {row.name: row for row in rows}

    def update(
        self, photos: Sequence[ImageInput], embedder: Embedder, batch_size: int = 32, workers: int = 0, accelerator: str = "auto"
    ) -> Update:
        """Embed what is new or changed, and forget what is gone; every other vector stays.

        Args:
            photos: The whole collection.
            embedder: The model of this store.
            batch_size: Pictures at a time.
            workers: Processes that open pictures.
            accelerator: Lightning's: auto, cpu, gpu.
        """
        before, self.rows, todo = self.rows, {}, []
        for photo in photos:
            row = _unchanged(photo, before.get(photo.name))
            if row is None:
                todo.append(photo)
            else:
                self.rows[photo.name] = row
        kept = len(self.rows)
        writer = _PartWriter(self, len(photos), kept)
        if todo:
            data = PhotoDataModule(PhotoDataset(todo, _View(embedder)), batch_size, workers)
            trainer = job_trainer(accelerator, callbacks=[writer], enable_progress_bar=False)
            trainer.predict(_Embed(embedder), data, return_predictions=False)
        writer.flush()
        self._tidy()
        self._write()
        gone = len(set(before) - {photo.name for photo in photos})
        return Update(len(todo) - len(writer.failed), kept, gone, writer.failed)

    def vectors(self) -> list[tuple[list[str], NDArray[np.float32]]]:
        """Memory-mapped parts: names of the rows, empty for one that is no longer used, and their vectors (n, D)."""
        found = []
        for part in sorted({row.part for row in self.rows.values()}):
            matrix = open_matrix(self.folder / part)
            names = [""] * len(matrix)
            for row in self.rows.values():
                if row.part == part:
                    names[row.row] = row.name
            found.append((names, matrix))
        return found

    def paths(self) -> dict[str, Path]:
        """The file of every name."""
        return {name: Path(row.path) for name, row in self.rows.items()}

    def add_part(self, vectors: NDArray[np.float32], rows: Sequence[Row]) -> None:
        """Write vectors (n, D) as a new part, and note their rows; ``rows`` need no part and row yet."""
        number = 1 + max((int(path.stem.split("-")[1]) for path in self.folder.glob("part-*.safetensors")), default=0)
        name = f"part-{number:05d}.safetensors"
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f"{name}.partial"
        save_file({"vectors": np.ascontiguousarray(vectors, np.float32)}, partial)
        partial.replace(self.folder / name)
        self.rows |= {row.name: replace(row, part=name, row=place) for place, row in enumerate(rows)}
        self._write()

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {"format": FORMAT, "model": self.model, "rows": [asdict(row) for row in self.rows.values()]}
        write_text(self.folder / "index.json", json.dumps(content) + "\n")

    def _tidy(self) -> None:
        """Join the parts where there are many or half of their rows are not used, and delete those nothing points to."""
        used = {row.part for row in self.rows.values()}
        stored = sum(len(open_matrix(self.folder / part)) for part in used)
        if len(used) > MOST_PARTS or stored > 2 * max(1, len(self.rows)):
            rows = sorted(self.rows.values(), key=lambda row: (row.part, row.row))
            opened = {part: open_matrix(self.folder / part) for part in used}
            self.add_part(np.stack([opened[row.part][row.row] for row in rows]), rows)
            used = {row.part for row in self.rows.values()}
        self._write()
        for path in self.folder.glob("part-*.safetensors"):
            if path.name not in used:
                path.unlink()


def open_matrix(file: Path) -> NDArray[np.float32]:
    """The one matrix of a part, memory-mapped: nothing is read until it is used.

    Raises:
        ValueError: If the file is not one.
    """
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > LARGEST_HEADER:
                raise ValueError(f"a header of {length} bytes")  # noqa: EM102
            about = json.loads(stream.read(length))["vectors"]
        if about["dtype"] != "F32" or len(about["shape"]) != 2:
            raise ValueError(f"{about['dtype']} of shape {about['shape']}")  # noqa: EM102
        return np.memmap(file, np.float32, "r", 8 + length + about["data_offsets"][0], tuple(about["shape"]))
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        msg = f"{file} is damaged ({error}); delete its folder and embed again"
        raise ValueError(msg) from error


def _unchanged(photo: ImageInput, row: Row | None) -> Row | None:
    """The row, if the file still has the content that it was made of."""
    status = photo.path.stat()
    if row is None:
        return None
    if (row.size, row.mtime_ns, row.path) == (status.st_size, status.st_mtime_ns, str(photo.path)):
        return row
    if row.size == status.st_size and row.sha256 == file_digest(photo.path):  # touched or moved, not changed
        return replace(row, path=str(photo.path), mtime_ns=status.st_mtime_ns)
    return None


@dataclass(frozen=True)
class _View:
    """A photo and the embedder's view of it."""

    embedder: Embedder

    def __call__(self, photo: Photo) -> tuple[Photo, Tensor]:
        return photo, self.embedder.preprocess(photo.rgb).unsqueeze(0)


class _Embed(LightningModule):
    """The embedder as a ``predict`` job."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__()
        self.embedder, self.network = embedder, embedder.network

    def predict_step(self, batch: list[OpenedPhoto], _: int) -> list[tuple[OpenedPhoto, Tensor | None]]:
        views = [photo.views for photo in batch if photo.views is not None]
        embedded: list[Tensor] = list(self.embedder.embed_images(torch.cat(views)).cpu()) if views else []
        vectors = iter(embedded)
        return [(photo, next(vectors) if photo.views is not None else None) for photo in batch]


class _PartWriter(Callback):
    """Collects vectors and writes a part whenever there are enough."""

    def __init__(self, store: Store, total: int, done: int) -> None:
        self.store, self.failed = store, dict[str, str]()
        self.waiting: list[tuple[Row, Tensor]] = []
        self.bar = tqdm(total=total, initial=done, desc="embed", unit="picture", disable=None)

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Iterable[Any], *_: object) -> None:
        for photo, vector in outputs:
            self.bar.update()
            if vector is None:
                self.failed[photo.file.name] = photo.error
                continue
            status = photo.file.path.stat()
            digest = file_digest(photo.file.path)
            row = Row(photo.file.name, str(photo.file.path), status.st_size, status.st_mtime_ns, digest, "", 0)
            self.waiting.append((row, vector))
        if len(self.waiting) >= PART:
            self.flush()

    def flush(self) -> None:
        self.bar.close() if not self.waiting else None
        if self.waiting:
            self.store.add_part(np.stack([vector.numpy() for _, vector in self.waiting]), [row for row, _ in self.waiting])
            self.waiting = []
