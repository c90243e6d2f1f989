"""Readers of the letters in images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from images.given import Images, given_images
from models.image_text_net import ImageTextNet
from sentinels.keys import fold

Reader = Callable[[Tensor], list[str]]
"""Function from images (B, 3, H, W) in [0, 1] to the letters in each."""


def reads_as(text: str, key: str) -> bool:
    """Return True if a text contains the key, ignoring case, blanks and punctuation."""
    return fold(key) in fold(text)


def load_network(name: str) -> ImageTextNet:
    """Load an :class:`ImageTextNet` in float32 from a folder, a Hub id or a checkpoint."""
    return ImageTextNet.from_pretrained(name, dtype=torch.float32)


def load_reader(name: str) -> Reader:
    """Load the reader of a saved :class:`ImageTextNet`."""
    return load_network(name).read


@dataclass(frozen=True)
class Reading:
    """Letters read in an image.

    Attributes:
        name: Name of the image file; ``image 1``, ``image 2``, ... for images without one.
        text: Capitals from left to right; empty for an image without letters.
    """

    name: str
    text: str

    def has(self, key: str) -> bool:
        """Return True if the text contains a key; see :func:`reads_as`."""
        return reads_as(self.text, key)


class KeyReader:
    """Read the keys of sentinels.

    Args:
        network: The reading network.
    """

    def __init__(self, network: ImageTextNet) -> None:
        self.network = network

    @classmethod
    def from_pretrained(cls, name: str) -> Self:
        """Load a reader from a folder, a Hub id or a checkpoint.

        Raises:
            OSError: If there are no such weights.
            ValueError: If they are not of an :class:`ImageTextNet`.
        """
        return cls(load_network(name))

    def read(self, images: Images) -> list[Reading]:
        """Read images.

        Args:
            images: One or several: paths, Pillow images, (H, W, 3) uint8 arrays, tensors (3, H, W)
                or (B, 3, H, W) in [0, 1].

        Returns:
            The letters of each image, in the same order.

        Raises:
            UnreadableImage: If an image cannot be decoded.
            ValueError: If an array or a tensor has another shape or range.
        """
        readings = []
        for image in given_images(images):
            (text,) = self.network.read(image.photo.tensor().unsqueeze(0))
            readings.append(Reading(image.name, text))
        return readings
