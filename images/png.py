"""Fast partial decoding of 8-bit RGB PNG files.

All other files are decoded by :mod:`images.io`.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pyspng
from numpy.typing import NDArray

from images import kinds
from images.containers import PNG_SIGNATURE, png_chunks

RGB8_HEADER = struct.pack(">5B", 8, 2, 0, 0, 0)
"""Header bytes after the size: 8 bits, RGB, not interlaced."""

IGNORED_CHUNKS = frozenset(
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
"""Chunks that do not change the values read by :mod:`images.io`, unlike eXIf."""

TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
"""Text chunks; they do not change the values unless they hold EXIF."""


def plain_size(content: bytes) -> tuple[int, int] | None:
    """Return height and width if :func:`decode_rows` supports a file.

    Returns:
        Height and width in pixels; None for incomplete files and for files that
        :mod:`images.io` would decode differently.
    """
    if content[:8] != PNG_SIGNATURE or content[12:16] != b"IHDR" or content[24:29] != RGB8_HEADER:
        return None
    kind = b""
    for kind, offset, _ in png_chunks(io.BytesIO(content)):
        has_metadata = content[offset : offset + 4].lower() in (b"raw ", b"xml:")
        if kind not in IGNORED_CHUNKS and (kind not in TEXT_CHUNKS or has_metadata):
            return None
    width, height = struct.unpack_from(">2I", content, 16)
    return (height, width) if kind == b"IEND" and 0 < height * width <= kinds.MAX_PIXELS else None


def decode_rows(content: bytes, rows: int) -> NDArray[np.uint8]:
    """Decode the upper rows of a PNG file.

    PNG stores images row by row. A header with fewer rows makes the decoder stop early.

    Args:
        content: A file with a :func:`plain_size`.
        rows: Number of rows to decode.

    Returns:
        (rows, W, 3) uint8.

    Raises:
        RuntimeError: If the file is damaged in these rows.
    """
    header = content[16:20] + struct.pack(">I", rows) + content[24:29]
    checked = header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return pyspng.load(content[:16] + checked + content[33:])
