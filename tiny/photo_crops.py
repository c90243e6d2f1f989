"""Crops of photos as training data."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from images.inputs import ImageInput

STORED_SIDE_PX = 256
"""Side of the stored crops; the network gets edited views of them."""


class PhotoCrops(Dataset[dict[str, Tensor]]):
    """Random crops of photos, drawn once and stored as bytes.

    Args:
        photos: The image files.
        crops: Number of crops of each photo, at random places and scales of a quarter of the
            shorter side to the whole.
        seed: Seed of places and scales.
    """

    def __init__(self, photos: list[ImageInput], crops: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.per_photo = crops
        images = []
        for photo in photos:
            image = Image.fromarray(photo.open().rgb)
            images += [_random_crop(image, rng) for _ in range(crops)]
        self.images = torch.stack(images)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": self.images[index].float() / 255}


class OneCropOfEach(Dataset[dict[str, Tensor]]):
    """One crop of each photo, another one at each access.

    Crops of one photo overlap. A batch of them would teach that copies are different images.

    Args:
        crops: The crops to choose from.
    """

    def __init__(self, crops: PhotoCrops) -> None:
        self.crops = crops

    def __len__(self) -> int:
        return len(self.crops) // self.crops.per_photo

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        chosen = int(torch.randint(self.crops.per_photo, ()))
        return self.crops[index * self.crops.per_photo + chosen]


def _random_crop(image: Image.Image, rng: np.random.Generator) -> Tensor:
    """Crop a square (3, STORED_SIDE_PX, STORED_SIDE_PX) uint8."""
    side = min(image.size) * rng.uniform(0.25, 1)
    left, top = (float(rng.uniform(0, length - side)) for length in image.size)
    box = (left, top, left + side, top + side)
    size = (STORED_SIDE_PX, STORED_SIDE_PX)
    small = image.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)
