"""Image files as a training data set."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from images.inputs import find_images
from images.transforms.geometry import center_crop_photo


class ImageFiles(Dataset[dict[str, Tensor]]):
    """Images from folders, files, shards and lists, as square crops.

    An item is ``{"image": (3, size, size)}``, float32 RGB in [0, 1]. The shorter side is resized to
    ``size`` and the center is cropped, as in RID's programs.

    Args:
        sources: Folders, image files, shards and lists; see :func:`images.inputs.find_images`.
        size: Side in pixels.
    """

    def __init__(self, sources: list[str], size: int = 512) -> None:
        self.files = find_images([Path(source) for source in sources]).complete()
        self.size = size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": center_crop_photo(self.files[index].open(), self.size).tensor()}
