"""Plain PNG files, quickly and no further down than needed; others are :mod:`images.io`'s."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pyspng
from numpy.typing import NDArray

from images import kinds
from images.containers import PNG_SIGNATURE, png_chunks

COLOURS_ONLY = struct.pack(">5B", 8, 2, 0, 0, 0)
"""What follows the size in the header of an image of 8 bits, RGB, not interlaced."""

HARMLESS = frozenset(
    {
        b"IHDR",
        b"IDAT",
        b"IEND",
        b"gAMA",
        b"cHRM",
        b"sRGB",
        b"iCCP",
        b"sBIT",
        b"bKGD",
        b"pHYs",
        b"tIME",
    }
)
"""Chunks that change nothing of the values that :mod:`images.io` reads, unlike eXIf."""

TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
"""Chunks that change nothing, either, unless they hold camera notes."""


def plain_size(content: bytes) -> tuple[int, int] | None:
    """Height and width of a whole file that :func:`decode_rows` reads as Pillow would, or None."""
    if content[:8] != PNG_SIGNATURE or content[12:16] != b"IHDR" or content[24:29] != COLOURS_ONLY:
        return None
    kind = b""
    for kind, place, _ in png_chunks(io.BytesIO(content)):
        notes = content[place : place + 4].lower() in (b"raw ", b"xml:")
        if kind not in HARMLESS and (kind not in TEXTS or notes):
            return None
    width, height = struct.unpack_from(">2I", content, 16)
    return (height, width) if kind == b"IEND" and 0 < height * width <= kinds.MAX_PIXELS else None


def decode_rows(content: bytes, rows: int) -> NDArray[np.uint8]:
    """The upper rows of a file whose :func:`plain_size` is known, (rows, W, 3).

    A PNG is coded row by row, so that one whose header claims fewer rows is the upper part of the
    image; what comes after is not read.

    Raises:
        RuntimeError: If the file is damaged there.
    """
    header = content[16:20] + struct.pack(">I", rows) + content[24:29]
    checked = header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return pyspng.load(content[:16] + checked + content[33:])
