"""Training images of the recipes."""

from __future__ import annotations

import torch
from torch import Tensor

from images.io import to_uint8
from tiny.dataset import PortraitDataset
from tiny.fitting import Place
from tiny.folder import CaptionedImages, split_folder

TRAINING_PEOPLE = 20_000
"""Number of identities that the autoencoders are trained on."""

VALIDATION_FIRST = 900_000
"""First identity of validation and calibration, which are neither for training nor evaluation."""

Captioned = PortraitDataset | CaptionedImages
"""Images with captions."""


def sources(
    place: Place, people: int, pictures: int, unseen: int
) -> tuple[Captioned, Captioned, str]:
    """Choose the training and validation images of a recipe.

    Args:
        place: Folders; with ``data``, its images replace the portraits.
        people: Number of identities to train on.
        pictures: Images of each identity.
        unseen: Number of validation portraits.

    Returns:
        Training images, validation images, and a description of their source.
    """
    if place.data is not None:
        images, held_out_images = split_folder(place.data, place.size)
        return images, held_out_images, f"{len(images)} images of a folder"
    train = PortraitDataset(0, people, pictures)
    held_out = PortraitDataset(VALIDATION_FIRST, unseen, 1)
    return train, held_out, f"{people} identities x {pictures} images"


def draw_or_read(images: Captioned, batch: int = 64) -> Tensor:
    """Draw or read all images, (N, 3, S, S) uint8."""
    parts = []
    for indices in torch.arange(len(images)).split(batch):
        items = images.__getitems__(indices.tolist())
        parts.append(to_uint8(torch.stack([item["image"] for item in items])))
    return torch.cat(parts)
