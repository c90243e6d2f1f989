"""Plain PNG files, quickly and no further down than is needed; every other file is :mod:`images.io`'s."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pyspng
from numpy.typing import NDArray
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"

COLOURS_ONLY = struct.pack(">5B", 8, 2, 0, 0, 0)
"""What follows the size in the header of a picture of 8 bits, RGB, not interlaced."""

HARMLESS = frozenset({b"IHDR", b"IDAT", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"pHYs", b"tIME", b"tEXt", b"zTXt", b"iTXt"})
"""Parts of a file that change nothing of the values that Pillow reads; eXIf, which may turn the picture, is not one."""


def plain_size(content: bytes) -> tuple[int, int] | None:
    """Height and width of a file that :func:`decode_rows` reads as Pillow would; None for any other, and for one that is cut short."""
    if content[:8] != SIGNATURE or content[12:16] != b"IHDR" or content[24:29] != COLOURS_ONLY:
        return None
    place = 8
    while place + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        if kind == b"IEND":
            width, height = struct.unpack_from(">2I", content, 16)
            return (height, width) if 0 < height * width <= (Image.MAX_IMAGE_PIXELS or 0) else None
        if kind not in HARMLESS or (kind.endswith(b"Xt") and content[place + 8 : place + 12].lower() in (b"raw ", b"xml:")):
            return None  # a text may hold camera notes, too
        place += 12 + length
    return None


def decode_rows(content: bytes, rows: int) -> NDArray[np.uint8]:
    """The upper rows of a file whose :func:`plain_size` is known, (rows, W, 3).

    A PNG is coded row by row, so that one whose header claims fewer rows is the upper part of the picture; what comes after is not read.

    Raises:
        RuntimeError: If the file is damaged there.
    """
    header = content[16:20] + struct.pack(">I", rows) + content[24:29]
    checked = header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return pyspng.load(content[:16] + checked + content[33:])
