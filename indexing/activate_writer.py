"""Finishing changed photos beside the network: encoding and measuring in threads, writing in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from datamodules.photos import OpenedPhoto
from engine.csv_journal import Journal, read_journal
from engine.files import write_bytes
from engine.ordered import InOrder
from images.io import Photo, encode_photo
from images.metrics import measures


@dataclass(frozen=True)
class Row:
    """What became of one photo: a line of ``activated.csv``.

    ``levels`` is the largest change of a value in grey levels, and with ``psnr`` (dB) and ``ssim`` is of the saved file against the photo.
    ``distance_before`` and ``distance_after`` are squared distances of descriptors to the first index's target. They are empty, and
    ``error`` is not, where it failed.
    """

    source: str
    output: str = ""
    width: int | None = None
    height: int | None = None
    levels: int | None = None
    psnr: float | None = None
    ssim: float | None = None
    distance_before: float | None = None
    distance_after: float | None = None
    error: str = ""


TABLE = "activated.csv"
COLUMNS = [field.name for field in fields(Row)]
WHOLE = ("width", "height", "levels")


def read_rows(folder: Path) -> list[Row]:
    """The lines written so far, or of a finished job; all but a photo's last are left out."""
    lines = {line["source"]: line for line in read_journal(folder / TABLE)}
    return [_parse(line) for line in lines.values()]


def _parse(line: dict[str, str]) -> Row:
    values: dict[str, Any] = {"source": line["source"], "output": line["output"], "error": line["error"]}
    for name in set(COLUMNS) - set(values):
        values[name] = (int if name in WHOLE else float)(line[name]) if line[name] else None
    return Row(**values)


def finish(photo: Photo, levels: Tensor) -> tuple[bytes, dict[str, Any]]:
    """A PNG file's bytes with the photo's notes, profile and transparency, and its measures against the photo."""
    changed = levels.permute(1, 2, 0).contiguous().numpy()
    return encode_photo(replace(photo, rgb=changed)), measures(photo.rgb, changed)


class ActivatedWriter(BasePredictionWriter):
    """Writes changed photos, and a line for each as soon as its file is whole.

    Args:
        folder: Of the results.
        names: The output's name for each photo.
        earlier: Lines of a job that was stopped.
        total: Photos of the whole job.
        threads: How many photos are finished at once.
    """

    def __init__(self, folder: Path, names: dict[str, str], earlier: Sequence[Row], total: int, threads: int) -> None:
        super().__init__("batch")
        self.folder, self.names = folder, names
        self.journal = Journal(folder / TABLE, COLUMNS, (asdict(row) for row in earlier))
        self.photos = InOrder(self._keep, threads, total, len(earlier))

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: list[Any],
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
        self.photos.close()

    def _finish(self, opened: OpenedPhoto, change: Any) -> tuple[bytes | None, Row]:
        name = opened.file.name
        if opened.photo is None or change is None:
            return None, Row(name, error=opened.error)
        content, measured = finish(opened.photo, change.levels)
        if measured["levels"] == 0:
            error = f"{opened.file.path}: nothing in it changes at these limits, so it would not be activated"
            return None, Row(name, error=error)
        distances = {"distance_before": round(change.before, 6), "distance_after": round(change.after, 6)}
        return content, Row(name, self.names[name], **measured, **distances)

    def _keep(self, finished: tuple[bytes | None, Row]) -> None:
        content, row = finished
        if content is not None:
            write_bytes(self.folder / row.output, content)
        self.journal.add([asdict(row)])
