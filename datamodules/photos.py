"""A folder of photos as input to a batch job: each file once, unreadable ones reported instead of fatal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.images import Photo, UnreadableImage, find_pictures, open_photo


@dataclass(frozen=True)
class OpenedPhoto:
    """One file: its decoded photo and the square view for the network, (3, S, S) in [0, 1], or why it could not be opened."""

    path: Path
    photo: Photo | None
    view: Tensor | None
    error: str = ""


@dataclass(frozen=True)
class PhotoBatch:
    """Opened files, and the views of the readable ones, (B, 3, S, S) in [0, 1], in the same order."""

    files: list[OpenedPhoto]
    image: Tensor

    def readable(self) -> list[OpenedPhoto]:
        return [file for file in self.files if file.photo is not None]


class PhotoFolder(Dataset[OpenedPhoto]):
    """The pictures below a folder, each with a view of the whole photo squeezed to ``side`` x ``side`` pixels."""

    def __init__(self, root: Path, side: int) -> None:
        self.root, self.side = root, side
        self.paths, self.others = find_pictures(root)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> OpenedPhoto:
        path = self.paths[index]
        try:
            photo = open_photo(path)
        except UnreadableImage as error:
            return OpenedPhoto(path, None, None, str(error))
        view = F.interpolate(photo.tensor().unsqueeze(0), (self.side, self.side), mode="bilinear", antialias=True)
        return OpenedPhoto(path, photo, view[0].clamp(0, 1))


class PhotoDataModule(LightningDataModule):
    """Batches of :class:`PhotoBatch` for ``predict``."""

    def __init__(self, folder: PhotoFolder, batch_size: int = 8, num_workers: int = 0) -> None:
        super().__init__()
        self.folder, self.batch_size, self.num_workers = folder, batch_size, num_workers

    def predict_dataloader(self) -> DataLoader[OpenedPhoto]:
        return DataLoader(self.folder, batch_size=self.batch_size, num_workers=self.num_workers, collate_fn=self._collate)

    def transfer_batch_to_device(self, batch: PhotoBatch, device: torch.device, dataloader_idx: int) -> PhotoBatch:
        return PhotoBatch(batch.files, batch.image.to(device))

    def _collate(self, files: list[OpenedPhoto]) -> PhotoBatch:
        views = [file.view for file in files if file.view is not None]
        side = self.folder.side
        return PhotoBatch(files, torch.stack(views) if views else torch.zeros(0, 3, side, side))
