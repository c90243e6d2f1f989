"""Finishing changed photos beside the network: encoding and measuring in threads, writing in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor
from tqdm import tqdm

from datamodules.images import Photo, encode_photo, write_bytes
from datamodules.measures import measures
from datamodules.photos import OpenedPhoto
from datamodules.tables import Journal, read_journal


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
        self.pool, self.limit = ThreadPoolExecutor(max(threads, 1)), 4 * max(threads, 1)
        self.waiting: deque[tuple[OpenedPhoto, Any, Future[tuple[bytes, dict[str, Any]]] | None]] = deque()
        self.bar = tqdm(total=total, initial=len(earlier), unit="photo", disable=None)

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
            change = next(changes) if opened.photo is not None else None
            future = self.pool.submit(finish, opened.photo, change.levels) if opened.photo is not None and change else None
            self.waiting.append((opened, change, future))
        self._drain(self.limit)

    def close(self) -> None:
        """Finish everything that waits."""
        try:
            self._drain(0)
        finally:
            self.bar.close()
            self.pool.shutdown(cancel_futures=True)

    def _drain(self, limit: int) -> None:
        while len(self.waiting) > limit:
            opened, change, future = self.waiting.popleft()
            row = Row(opened.file.name, error=opened.error)
            if future is not None:
                content, measured = future.result()
                name = self.names[opened.file.name]
                if measured["levels"] == 0:
                    row = replace(row, error=f"{opened.file.path}: nothing in it changes at these limits, so it would not be activated")
                else:
                    write_bytes(self.folder / name, content)
                    distances = {"distance_before": round(change.before, 6), "distance_after": round(change.after, 6)}
                    row = Row(opened.file.name, name, **measured, **distances)
            self.journal.add([asdict(row)])
            self.bar.update()
