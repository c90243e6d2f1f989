"""Pictures as the tabs show them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from images.io import Photo, save_png
from images.metrics import AMPLIFICATION

Levels = NDArray[np.uint8]

SIDE = 512
CHANGE = f"change x{AMPLIFICATION}"


def thumbnail(rgb: Levels, file: Path) -> str:
    """Save a picture, (H, W, 3), no side of it longer than :data:`SIDE`; the file."""
    picture = Image.fromarray(rgb)
    picture.thumbnail((SIDE, SIDE))
    return whole(Photo(np.asarray(picture)), file)


def whole(photo: Photo, file: Path) -> str:
    """Save a picture at its size; the file."""
    save_png(photo, file)
    return str(file)
