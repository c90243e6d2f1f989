"""Image file headers: codec, size and JPEG quality, without decoding."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, JpegImagePlugin

from images.pillow import CODECS, FORMATS, open_image

SUBSAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
"""Chroma subsampling by Pillow's code."""


@dataclass(frozen=True)
class Header:
    """Encoding parameters of an image file.

    Attributes:
        codec: Codec by content: jpg, png, webp, bmp or tif.
        width: Width in pixels.
        height: Height in pixels.
        jpeg_quality: libjpeg quality, 1 to 100, with the nearest luminance table; None for other
            codecs.
        chroma: Chroma subsampling of a JPEG; None if unknown.
        exif: True if the file has EXIF metadata.
    """

    codec: str
    width: int
    height: int
    jpeg_quality: int | None = None
    chroma: str | None = None
    exif: bool = False


def read_header(content: bytes) -> Header | None:
    """Read the header of an encoded image; None if unsupported."""
    try:
        with open_image(content, "", []) as image:
            codec = CODECS[image.format or ""]
            exif = "exif" in image.info
            if codec != "jpg":
                return Header(codec, image.width, image.height, exif=exif)
            tables = image.quantization  # type: ignore[attr-defined]
            table = np.asarray(next(iter(tables.values())))
            chroma = SUBSAMPLING.get(JpegImagePlugin.get_sampling(image))
            return Header(codec, image.width, image.height, nearest_quality(table), chroma, exif)
    except Exception:  # a damaged header makes Pillow raise nearly anything
        return None


def nearest_quality(table: np.ndarray) -> int:
    """Find the libjpeg quality, 1 to 100, with the nearest luminance table.

    Distance is the sum of absolute differences of the 64 entries.
    """
    return int(np.abs(_tables() - table.reshape(1, -1)).sum(axis=1).argmin()) + 1


@cache
def _tables() -> np.ndarray:
    """Return libjpeg's luminance tables for qualities 1 to 100, (100, 64)."""
    tables = []
    for quality in range(1, 101):
        buffer = io.BytesIO()
        Image.new("L", (8, 8)).save(buffer, format="JPEG", quality=quality)
        with Image.open(buffer, formats=FORMATS) as image:
            tables.append(image.quantization[0])  # type: ignore[attr-defined]
    return np.asarray(tables)
