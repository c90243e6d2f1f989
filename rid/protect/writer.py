"""Finishing protected photos beside the network: rounding, measuring and encoding in threads, writing in order."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from numpy.typing import NDArray
from torch import Tensor

from datamodules.photos import OpenedPhoto
from engine.csv_journal import Journal
from engine.ordered import InOrder
from images.inputs import ImageInput
from images.io import Photo, decode_photo, encode_photo, levels_within
from images.metrics import measures
from images.outputs import ImageTree
from rid.protect.windows import Fit, Windows

Format = Literal["png", "jpeg"]
ENDING = {"png": "png", "jpeg": "jpg"}
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Row:
    """What became of one photo: a line of ``protected.csv``.

    ``levels`` is the largest change of a value, in grey levels of 255, and with ``psnr`` (dB) and ``ssim`` is of the saved file
    against the photo. They are empty, and ``error`` is not, where it failed.
    """

    source: str
    output: str = ""
    width: int | None = None
    height: int | None = None
    levels: int | None = None
    psnr: float | None = None
    ssim: float | None = None
    error: str = ""


COLUMNS = [field.name for field in fields(Row)]


def add_perturbation(photo: Photo, perturbation: Tensor, budget: float) -> NDArray[np.uint8]:
    """The protected photo, (H, W, 3) uint8; no value changed by more than ``budget`` grey levels after rounding.

    Args:
        photo: The decoded photo.
        perturbation: (3, H, W), for values in [0, 1].
        budget: The bound.
    """
    original = photo.tensor()
    return levels_within(original + perturbation, original, budget).permute(1, 2, 0).numpy()


def finish(photo: Photo, windows: Windows, changes: Tensor, budget: float, kind: Format) -> tuple[bytes, dict[str, Any]]:
    """The saved file's bytes and its measures against the photo.

    Raises:
        ValueError: If nothing changes, or the format cannot hold the photo.
    """
    protected = add_perturbation(photo, windows.merge(changes), budget)
    if np.array_equal(protected, photo.rgb):
        msg = "these weights change nothing in it, so it would not be protected; use trained weights"
        raise ValueError(msg)
    content = encode_photo(replace(photo, rgb=protected), kind, JPEG_QUALITY)
    saved = protected if kind == "png" else decode_photo(io.BytesIO(content), "the result").rgb
    return content, measures(photo.rgb, saved)


class Outputs:
    """Where results go: files, shards, and the journal, a line as soon as a photo is done.

    Args:
        tree: Of the results.
        kind: Format.
        journal: Of ``protected.csv``.
    """

    def __init__(self, tree: ImageTree, kind: Format, journal: Journal) -> None:
        self.tree, self.kind, self.journal = tree, kind, journal

    def keep(self, file: ImageInput, content: bytes | None, row: Row) -> None:
        """Write one result, or only its line if there is none."""
        if content is not None:
            self.tree.write(file, content)
        self.journal.add([asdict(row)])

    def close(self) -> None:
        """Finish the last shard."""
        self.tree.close_group()


class PhotoWriter(BasePredictionWriter):
    """Finishes photos in threads while the network goes on, and hands them on in order, with a progress bar in photos.

    Args:
        outputs: Where results go.
        budget: The bound in grey levels.
        fit: How windows were laid.
        side: Side of a window.
        threads: How many photos are finished at once.
        total: Photos of the whole job.
        already: How many of them an earlier run has done.
    """

    def __init__(self, outputs: Outputs, budget: float, fit: Fit, side: int, threads: int, total: int, already: int) -> None:
        super().__init__("batch")
        self.outputs, self.budget, self.fit, self.side = outputs, budget, fit, side
        self.rows: list[Row] = []
        self.photos = InOrder(self._keep, threads, total, already)

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: list[Tensor],
        batch_indices: Sequence[int] | None,
        batch: list[OpenedPhoto],
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        changes = iter(prediction)
        for opened in batch:
            self.photos.add(self._finish, opened, next(changes) if opened.photo is not None else None)

    def close(self) -> None:
        """Finish everything that waits."""
        try:
            self.photos.close()
        finally:
            self.outputs.close()

    def _finish(self, opened: OpenedPhoto, change: Tensor | None) -> tuple[ImageInput, bytes | None, Row]:
        file, photo = opened.file, opened.photo
        if photo is None or change is None:
            return file, None, Row(file.name, error=opened.error)
        height, width = photo.rgb.shape[:2]
        try:
            content, measured = finish(photo, Windows.cover((height, width), self.side, self.fit), change, self.budget, self.outputs.kind)
        except ValueError as error:
            return file, None, Row(file.name, error=f"{file.path}: {error}")
        return file, content, Row(file.name, self.outputs.tree.names[file.name], **measured)

    def _keep(self, finished: tuple[ImageInput, bytes | None, Row]) -> None:
        self.outputs.keep(*finished)
        self.rows.append(finished[2])
