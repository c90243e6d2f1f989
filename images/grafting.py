"""Metadata of one file in the coded pixels of another, byte for byte: JPEG segments, PNG chunks."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

from images.containers import (
    COMMENT,
    PNG_SIGNATURE,
    START_OF_SCAN,
    jpeg_end,
    jpeg_segments,
    png_chunks,
)

Replace = Callable[[bytes], bytes]
"""Function from an embedded JPEG to another of at most its length."""

EMBEDDED = b"\xff\xd8\xff"
"""First bytes of a JPEG within metadata."""

SIGNED = (b"JP\x00\x01", b"caBX")
"""First bytes of a JPEG segment, and PNG chunk, with content credentials of the other pixels."""

MORE_IMAGES = b"MPF\0"
"""First bytes of the JPEG segment that lists the images after the first."""

FRAMES = (b"acTL", b"fcTL", b"fdAT")
"""PNG chunks of animations."""


def graft_jpeg(pixels: bytes, source: bytes, replace: Replace) -> bytes:
    """Combine the coded pixels of a JPEG with another's metadata, in the other's order.

    Credentials and lists of further images are left out.

    Args:
        pixels: The JPEG with the pixels.
        source: The JPEG with the metadata.
        replace: Makes the thumbnails in the metadata anew.
    """
    # Group the segments of the pixels by their kind, up to the scan.
    coded: dict[int, bytes] = {}
    scan = len(pixels)
    for marker, offset, length in jpeg_segments(io.BytesIO(pixels)):
        if marker == START_OF_SCAN:
            scan = offset - 4
        elif not _is_metadata(marker):
            coded[marker] = coded.get(marker, b"") + pixels[offset - 4 : offset + length]
    # Take the source's order.
    parts = [b"\xff\xd8"]
    for marker, offset, length in jpeg_segments(io.BytesIO(source)):
        if not _is_metadata(marker):
            parts.append(coded.pop(marker, b""))
            continue
        content = source[offset : offset + length]
        if not content.startswith((*SIGNED, MORE_IMAGES)):
            parts.append(source[offset - 4 : offset] + replace_embedded(content, replace))
    return b"".join([*parts, *coded.values(), pixels[scan:]])


def graft_png(pixels: bytes, source: bytes, replace: Replace, has_palette: bool) -> bytes:
    """Combine the coded pixels of a PNG with another's ancillary chunks, in the other's order.

    Credentials and frames are left out.

    Args:
        pixels: The PNG with the pixels.
        source: The PNG with the metadata.
        replace: Makes the thumbnails in the metadata anew.
        has_palette: True if the pixels have a palette, so that its transparency is theirs.
    """
    coded: dict[bytes, bytes] = {}
    for kind, offset, length in png_chunks(io.BytesIO(pixels)):
        coded[kind] = coded.get(kind, b"") + pixels[offset - 8 : offset + length + 4]
    of_palette = (b"tRNS", b"bKGD", b"hIST") if has_palette else ()
    parts = [PNG_SIGNATURE]
    for kind, offset, length in png_chunks(io.BytesIO(source)):
        is_critical = not kind[0] & 0x20
        if kind == b"IEND":
            parts += [coded.pop(b"IDAT", b"")]
        if is_critical or kind in of_palette:
            parts.append(coded.pop(kind, b""))
        elif kind not in (*SIGNED, *FRAMES):
            content = kind + replace_embedded(source[offset : offset + length], replace)
            parts.append(
                struct.pack(">I", length) + content + struct.pack(">I", zlib.crc32(content))
            )
    return b"".join(parts)


def replace_embedded(block: bytes, replace: Replace) -> bytes:
    """Replace the JPEGs in a block of metadata, such as thumbnails, by others of their length."""
    start = block.find(EMBEDDED)
    while start >= 0:
        end = start + jpeg_end(block[start:])
        made = replace(block[start:end])
        block = block[:start] + made.ljust(end - start, b"\0") + block[end:]
        start = block.find(EMBEDDED, end)
    return block


def _is_metadata(marker: int) -> bool:
    return 0xE0 <= marker <= 0xEF or marker == COMMENT
