"""PNG chunks and JPEG segments, read without decoding."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from engine.files import open_for_reading

Source = Path | bytes | BinaryIO
"""Image file on disk, in memory, or in an open stream."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

DECODED_CHUNKS = (b"tRNS", b"acTL", b"fcTL", b"fdAT")
"""Ancillary chunks that change the decoded image: transparency and frames."""

START_OF_SCAN = 0xDA
END_OF_IMAGE = 0xD9
COMMENT = 0xFE


@contextmanager
def open_source(source: Source) -> Iterator[BinaryIO]:
    """Open an image source as a seekable stream, from its beginning.

    Raises:
        OSError: If a file cannot be read. Pipes and devices are refused, as they may never end.
    """
    if isinstance(source, Path):
        with open_for_reading(source) as stream:
            yield stream
    elif isinstance(source, bytes):
        yield io.BytesIO(source)
    elif source.seekable():
        source.seek(0)
        yield source
    else:
        yield io.BytesIO(source.read())


def png_chunks(stream: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Walk the complete chunks of a PNG file.

    Yields:
        Kind, offset of the data in the file, and length in bytes; the last chunk of a complete file
        is IEND.
    """
    end = stream.seek(0, io.SEEK_END)
    offset = 8
    while offset + 12 <= end:
        stream.seek(offset)
        length, kind = struct.unpack(">I4s", stream.read(8))
        if offset + 12 + length > end:
            return
        yield kind, offset + 8, length
        if kind == b"IEND":
            return
        offset += 12 + length


def jpeg_segments(stream: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Walk the segments of a JPEG file, including the first scan.

    Yields:
        Second byte of the marker, offset of the data in the file, and length in bytes (0 without
        data).
    """
    end = stream.seek(0, io.SEEK_END)
    offset = 2
    while offset + 2 <= end:
        # Skip junk and fill bytes, as decoders do.
        stream.seek(offset)
        fill, marker = stream.read(2)
        if fill != 0xFF or marker == 0xFF:
            offset = _find(stream, offset + 1, b"\xff")
            continue
        # Yield a bare marker or a segment.
        if marker in (0x00, 0x01) or 0xD0 <= marker <= END_OF_IMAGE:
            offset += 2
            yield marker, offset, 0
        else:
            field = stream.read(2)
            if len(field) < 2:
                return
            length = max(struct.unpack(">H", field)[0] - 2, 0)
            yield marker, offset + 4, length
            offset += 4 + length
        if marker in (START_OF_SCAN, END_OF_IMAGE):
            return


def png_end(content: bytes) -> int:
    """Return the end offset of a PNG; the file's length if truncated."""
    for kind, offset, length in png_chunks(io.BytesIO(content)):
        if kind == b"IEND":
            return offset + length + 4
    return len(content)


def jpeg_end(content: bytes) -> int:
    """Return the end offset of a JPEG; the file's length if truncated."""
    offset = 2
    while offset + 4 <= len(content):
        marker = content[offset + 1]
        if content[offset] != 0xFF:  # coded data: 0xFF is followed by 0 or a restart marker
            offset = content.find(b"\xff", offset)
            if offset < 0:
                break
        elif marker == END_OF_IMAGE:
            return offset + 2
        elif marker == 0xFF:
            offset += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            offset += 2
        else:
            offset += 2 + struct.unpack_from(">H", content, offset + 2)[0]
    return len(content)


def strip_damaged_metadata(content: bytes) -> Iterator[bytes]:
    """Remove metadata from a PNG or JPEG file that fails to decode.

    Yields:
        The file without its damaged ancillary chunks, then without any metadata. Versions equal to
        the file are left out.
    """
    if content.startswith(PNG_SIGNATURE):
        # PNG: drop chunks with a wrong checksum, then all that decoding does not need.
        walk = png_chunks(io.BytesIO(content))
        chunks = [content[offset - 8 : offset + length + 4] for _, offset, length in walk]
        intact = [chunk for chunk in chunks if _critical(chunk) or _checksum_matches(chunk)]
        decoded = [chunk for chunk in intact if _critical(chunk) or chunk[4:8] in DECODED_CHUNKS]
        for kept in (intact, decoded):
            if len(kept) < len(chunks):
                yield PNG_SIGNATURE + b"".join(kept)
    elif content.startswith(b"\xff\xd8"):
        # JPEG: drop application segments and comments.
        segments = list(jpeg_segments(io.BytesIO(content)))
        if segments and segments[-1][0] == START_OF_SCAN:
            scan = segments[-1][1] - 4
            needed = [segment for segment in segments[:-1] if segment[2] and _decodes(segment[0])]
            kept = [content[offset - 4 : offset + length] for _, offset, length in needed]
            if len(kept) < len(segments) - 1:
                yield b"\xff\xd8" + b"".join(kept) + content[scan:]


def _find(stream: BinaryIO, offset: int, wanted: bytes) -> int:
    """Return the next offset of a byte, or the end of the file."""
    while True:
        stream.seek(offset)
        block = stream.read(1 << 16)
        index = block.find(wanted)
        if index >= 0 or not block:
            return offset + max(index, 0)
        offset += len(block)


def _critical(chunk: bytes) -> bool:
    return not chunk[4] & 0x20


def _checksum_matches(chunk: bytes) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def _decodes(marker: int) -> bool:
    """Return True if decoding needs a segment.

    Segments APP1 to APP13, APP15 and comments are not needed.
    """
    return marker in (0xE0, 0xEE) or not (0xE0 <= marker <= 0xEF or marker == COMMENT)
