"""Saving images that the tabs show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from images.io import save_png
from images.metrics import AMPLIFICATION
from images.photo import Photo
from images.transforms import RGBImage

THUMBNAIL_PIXELS = 512
"""Longest side of a thumbnail."""

CHANGE = f"change x{AMPLIFICATION}"
"""Caption of an amplified difference."""


def save_thumbnail(rgb: RGBImage, file: Path) -> str:
    """Save a thumbnail of an (H, W, 3) image; return its file."""
    image = Image.fromarray(rgb)
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    return save_full_size(Photo(np.asarray(image)), file)


def save_full_size(photo: Photo, file: Path) -> str:
    """Save an image at its size; return the file."""
    save_png(photo, file)
    return str(file)


def stem(name: str) -> str:
    """Name of a file without its ending."""
    return name.rsplit(".", 1)[0]
