"""Reading the letters in pictures."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

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
