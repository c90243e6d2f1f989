"""Reading the letters in pictures."""

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
"""From (B, 3, H, W) pictures in [0, 1] to what is written in each."""


def reads_as(text: str, key: str) -> bool:
    """Is a key in what was read? Case, blanks and punctuation do not count: a text encoder folds them, too."""
    return fold(key) in fold(text)


def load_network(name: str) -> ImageTextNet:
    """A saved :class:`ImageTextNet` in float32; errors as :meth:`ImageTextNet.from_pretrained`."""
    return ImageTextNet.from_pretrained(name, dtype=torch.float32)


def load_reader(name: str) -> Reader:
    """The reader of a saved :class:`ImageTextNet`."""
    return load_network(name).read


@dataclass(frozen=True)
class Reading:
    """Letters read in an image.

    Attributes:
        name: The image's file; ``image 1``, ``image 2``, ... where there was none.
        text: Capitals, from left to right; empty where nothing is written.
    """

    name: str
    text: str

    def has(self, key: str) -> bool:
        """Is a key in it? See :func:`reads_as`."""
        return reads_as(self.text, key)


class KeyReader:
    """Reads the keys of sentinels.

    Args:
        network: The network that reads.
    """

    def __init__(self, network: ImageTextNet) -> None:
        self.network = network

    @classmethod
    def from_pretrained(cls, name: str) -> Self:
        """Open a folder, Hub id or checkpoint of an :class:`ImageTextNet`; errors as of its ``from_pretrained``."""
        return cls(load_network(name))

    def read(self, images: Images) -> list[Reading]:
        """Read images.

        Args:
            images: One or several: paths, Pillow images, (H, W, 3) uint8 arrays, tensors (3, H, W) or (B, 3, H, W) in [0, 1].

        Returns:
            What is written in each, in the same order.

        Raises:
            UnreadableImage: If an image cannot be decoded.
            ValueError: If an array or a tensor has another shape or range.
        """
        given = given_images(images)
        return [
            Reading(image.name, self.network.read(image.photo.tensor().unsqueeze(0))[0])
            for image in given
        ]
