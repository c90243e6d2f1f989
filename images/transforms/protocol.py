"""Protocol of edits of 8-bit images."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RGBImage = NDArray[np.uint8]
"""(H, W, 3) RGB values, 0 to 255."""

Edit = Callable[[RGBImage, np.random.Generator], RGBImage]
"""Function from an (H, W, 3) uint8 image and a generator to the edited image.

The input is never modified. All randomness comes from the generator.
"""


def on_pillow(rgb: RGBImage, edit: Callable[[Image.Image], Image.Image]) -> RGBImage:
    """Run a function for Pillow images on an (H, W, 3) uint8 array."""
    return np.asarray(edit(Image.fromarray(rgb)).convert("RGB"))


def edit_generator(seed: int, name: str, number: int = 0) -> np.random.Generator:
    """Make the generator for one edit of one image.

    It depends neither on other images nor on the number of processes.

    Args:
        seed: Seed of the run, at least 0.
        name: Name of the image; names that are not UTF-8 are hashed as bytes.
        number: Index of the edit, at least 0.
    """
    return np.random.default_rng([seed, zlib.crc32(name.encode(errors="surrogateescape")), number])
