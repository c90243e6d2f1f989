"""The form every edit of an 8-bit image has."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RGBImage = NDArray[np.uint8]
"""(H, W, 3) RGB values, 0 to 255."""

Edit = Callable[[RGBImage, np.random.Generator], RGBImage]
"""From an image to an image, of another size where the edit says so.

The image handed over is never changed. All chance comes from the generator: equal generators give
equal images.
"""


def on_pillow(rgb: RGBImage, edit: Callable[[Image.Image], Image.Image]) -> RGBImage:
    """Run a function for Pillow images on an (H, W, 3) uint8 array."""
    return np.asarray(edit(Image.fromarray(rgb)).convert("RGB"))


def edit_generator(seed: int, name: str, number: int = 0) -> np.random.Generator:
    """Make the generator for one edit of one image, whatever else is edited and in which process.

    Args:
        seed: Of the whole run, at least 0.
        name: The image's; names that are not UTF-8 are taken as their bytes.
        number: The edit's place among the image's edits, at least 0.
    """
    return np.random.default_rng([seed, zlib.crc32(name.encode(errors="surrogateescape")), number])
