"""Photos as input to a batch job: each once, unreadable ones reported instead of fatal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from images.inputs import ImageInput, find_images
from images.io import Photo, UnreadableImage
from images.transforms.geometry import center_crop_photo


@dataclass(frozen=True)
class OpenedPhoto:
    """One file: its decoded photo and the network's views of it, (n, 3, S, S) in [0, 1], or why it could not be opened."""

    file: ImageInput
    photo: Photo | None
    views: Tensor | None
    error: str = ""


class PhotoDataset(Dataset[OpenedPhoto]):
    """Photos with the views a network takes.

    Args:
        files: The photos.
        prepare: From a decoded photo to the photo to work on and its views, (n, 3, S, S) in [0, 1].
    """

    def __init__(self, files: Sequence[ImageInput], prepare: Callable[[Photo], tuple[Photo, Tensor]]) -> None:
        self.files, self.prepare = files, prepare

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> OpenedPhoto:
        file = self.files[index]
        try:
            photo = file.open()
        except UnreadableImage as error:
            return OpenedPhoto(file, None, None, str(error))
        return OpenedPhoto(file, *self.prepare(photo))


class PictureFiles(Dataset[dict[str, Tensor]]):
    """Photos as training pictures: ``image`` (3, size, size) in [0, 1], shorter side resized and centre-cropped as in RID's programs.

    Args:
        sources: Folders, picture files, shards and lists; see :func:`find_images`.
        size: Side in pixels.
    """

    def __init__(self, sources: list[str], size: int = 512) -> None:
        self.files = find_images([Path(source) for source in sources]).complete()
        self.size = size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": center_crop_photo(self.files[index].open(), self.size).tensor()}


class PhotoDataModule(LightningDataModule):
    """Lists of a dataset's photos, such as :class:`OpenedPhoto`, for ``predict``, in order."""

    def __init__(self, photos: Dataset[Any], batch_size: int = 8, num_workers: int = 0) -> None:
        super().__init__()
        self.photos, self.batch_size, self.num_workers = photos, batch_size, num_workers

    def predict_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.photos, batch_size=self.batch_size, num_workers=self.num_workers, collate_fn=list)

    def transfer_batch_to_device(self, batch: list[Any], device: torch.device, dataloader_idx: int) -> list[Any]:
        return batch  # the protector moves windows, a few at a time
