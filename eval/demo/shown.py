"""Pictures as the tabs show them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datamodules.images import Photo, save_png

Levels = NDArray[np.uint8]

SIDE = 512
AMPLIFIED = 10
CHANGE = f"change x{AMPLIFIED}"


def thumbnail(rgb: Levels, file: Path) -> str:
    """Save a picture, (H, W, 3), no side of it longer than :data:`SIDE`; the file."""
    picture = Image.fromarray(rgb)
    picture.thumbnail((SIDE, SIDE))
    return whole(Photo(np.asarray(picture)), file)


def whole(photo: Photo, file: Path) -> str:
    """Save a picture at its size; the file."""
    save_png(photo, file)
    return str(file)


def difference(before: Levels, after: Levels) -> Levels:
    """What changed, :data:`AMPLIFIED` times as much, around mid grey."""
    return np.clip(128 + AMPLIFIED * (after.astype(np.int16) - before), 0, 255).astype(np.uint8)
