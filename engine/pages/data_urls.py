"""``data:`` URLs of image files and arrays."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MIN_HEIGHT = 96
"""Height in pixels below which an image is shown at twice its size."""


def data_url(content: bytes, kind: str) -> str:
    """Return the URL of an image file's bytes; ``kind`` is png or jpeg."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def image_url(
    rgb: NDArray[np.uint8], side: int | None = None, kind: Literal["png", "jpeg"] = "png"
) -> str:
    """Return the URL of an image; one below 96 pixels of height is doubled in size.

    Args:
        rgb: Image, uint8, (H, W, 3).
        side: Longest side in pixels; None keeps the size.
        kind: File format: lossless PNG, or JPEG at quality 85.
    """
    image = Image.fromarray(rgb)
    if side is not None:
        image.thumbnail((side, side))
    if image.height < MIN_HEIGHT:
        image = image.resize((2 * image.width, 2 * image.height), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    options = {"optimize": True} if kind == "png" else {"quality": 85}
    image.save(buffer, format=kind.upper(), **options)
    return data_url(buffer.getvalue(), kind)


def strip_url(images: Sequence[NDArray[np.uint8]]) -> str:
    """Return the URL of one PNG with images of equal height, (H, W, 3), side by side."""
    return image_url(np.hstack(list(images)))
