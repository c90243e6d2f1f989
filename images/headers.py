"""What an image file's header tells, without decoding the image: codec, size, JPEG quality."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, JpegImagePlugin

from images.pillow import CODECS, FORMATS, open_image

SUBSAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}


@dataclass(frozen=True)
class Header:
    """Facts that say how a file was written, and nothing of what it shows.

    Attributes:
        codec: File ending of the true codec: jpg, png, webp, bmp or tif.
        width: Pixels.
        height: Pixels.
        jpeg_quality: The quality of libjpeg's scale whose luminance table is nearest; None for
            other codecs.
        chroma: Chroma subsampling of a JPEG.
        exif: Whether the file carries camera notes.
    """

    codec: str
    width: int
    height: int
    jpeg_quality: int | None = None
    chroma: str | None = None
    exif: bool = False


def read_header(content: bytes) -> Header | None:
    """Read the header of an image file's bytes; None if it is not an image that is read."""
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
    """Find the libjpeg quality, 1 to 100, whose luminance table is nearest to 64 numbers."""
    return int(np.abs(_tables() - table.reshape(1, -1)).sum(axis=1).argmin()) + 1


@cache
def _tables() -> np.ndarray:
    """Libjpeg's luminance tables for the qualities 1 to 100, (100, 64), as Pillow reads them."""
    tables = []
    for quality in range(1, 101):
        buffer = io.BytesIO()
        Image.new("L", (8, 8)).save(buffer, format="JPEG", quality=quality)
        with Image.open(buffer, formats=FORMATS) as image:
            tables.append(image.quantization[0])  # type: ignore[attr-defined]
    return np.asarray(tables)
