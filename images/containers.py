"""Chunks of PNG files and segments of JPEG files, walked without decoding anything."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from engine.files import opened

Source = Path | bytes | BinaryIO
"""Where an image file is: on disk, in memory, or in an open stream."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

NEEDED = (b"tRNS", b"acTL", b"fcTL", b"fdAT")
"""Ancillary chunks that change what a PNG shows: transparency and frames."""

START_OF_SCAN = 0xDA
END_OF_IMAGE = 0xD9
COMMENT = 0xFE


@contextmanager
def open_source(source: Source) -> Iterator[BinaryIO]:
    """Open a file, bytes or a stream, from its beginning, as a stream in which one can seek.

    Raises:
        OSError: If a file is none, or cannot be read. A pipe or a device is refused: it may never end.
    """
    if isinstance(source, Path):
        with opened(source) as stream:
            yield stream
    elif isinstance(source, bytes):
        yield io.BytesIO(source)
    elif source.seekable():
        source.seek(0)
        yield source
    else:
        yield io.BytesIO(source.read())


def png_chunks(stream: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Walk the whole chunks of a PNG file.

    Yields:
        Kind, place of the data in the file, and length; the last one is IEND if the file is whole.
    """
    end = stream.seek(0, io.SEEK_END)
    place = 8
    while place + 12 <= end:
        stream.seek(place)
        length, kind = struct.unpack(">I4s", stream.read(8))
        if place + 12 + length > end:
            return
        yield kind, place + 8, length
        if kind == b"IEND":
            return
        place += 12 + length


def jpeg_segments(stream: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Walk the segments of a JPEG file, up to and with the first scan.

    Yields:
        Marker (its second byte), place of the data in the file, and length (0 without data).
    """
    end = stream.seek(0, io.SEEK_END)
    place = 2
    while place + 2 <= end:
        stream.seek(place)
        fill, marker = stream.read(2)
        if fill != 0xFF or marker == 0xFF:  # junk and fill bytes are passed over, as decoders do
            place = _find(stream, place + 1, b"\xff")
            continue
        if marker in (0x00, 0x01) or 0xD0 <= marker <= END_OF_IMAGE:
            place += 2
            yield marker, place, 0
        else:
            field = stream.read(2)
            if len(field) < 2:
                return
            length = max(struct.unpack(">H", field)[0] - 2, 0)
            yield marker, place + 4, length
            place += 4 + length
        if marker in (START_OF_SCAN, END_OF_IMAGE):
            return


def png_end(content: bytes) -> int:
    """Find where a PNG's bytes end; the file's length if it is cut short."""
    for kind, place, length in png_chunks(io.BytesIO(content)):
        if kind == b"IEND":
            return place + length + 4
    return len(content)


def jpeg_end(content: bytes) -> int:
    """Find where a JPEG's bytes end; the file's length if it is cut short."""
    place = 2
    while place + 4 <= len(content):
        marker = content[place + 1]
        if content[place] != 0xFF:  # coded data, in which 0xFF is followed by 0 or a restart marker
            place = content.find(b"\xff", place)
            if place < 0:
                break
        elif marker == END_OF_IMAGE:
            return place + 2
        elif marker == 0xFF:
            place += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            place += 2
        else:
            place += 2 + struct.unpack_from(">H", content, place + 2)[0]
    return len(content)


def strip_damaged_metadata(content: bytes) -> Iterator[bytes]:
    """Leave out of a PNG or JPEG file what a decoder may stumble over and does not need.

    Yields:
        The file without its damaged ancillary chunks, then without any notes; only where that is
        less than the file.
    """
    if content.startswith(PNG_SIGNATURE):
        walk = png_chunks(io.BytesIO(content))
        chunks = [content[place - 8 : place + length + 4] for _, place, length in walk]
        whole = [chunk for chunk in chunks if _critical(chunk) or _checked(chunk)]
        needed = [chunk for chunk in whole if _critical(chunk) or chunk[4:8] in NEEDED]
        for kept in (whole, needed):
            if len(kept) < len(chunks):
                yield PNG_SIGNATURE + b"".join(kept)
    elif content.startswith(b"\xff\xd8"):
        segments = list(jpeg_segments(io.BytesIO(content)))
        if segments and segments[-1][0] == START_OF_SCAN:
            scan = segments[-1][1] - 4
            decoded = [segment for segment in segments[:-1] if segment[2] and _decodes(segment[0])]
            kept = [content[place - 4 : place + length] for _, place, length in decoded]
            if len(kept) < len(segments) - 1:
                yield b"\xff\xd8" + b"".join(kept) + content[scan:]


def _find(stream: BinaryIO, place: int, wanted: bytes) -> int:
    """Where a byte comes next, or the end of the file."""
    while True:
        stream.seek(place)
        block = stream.read(1 << 16)
        found = block.find(wanted)
        if found >= 0 or not block:
            return place + max(found, 0)
        place += len(block)


def _critical(chunk: bytes) -> bool:
    return not chunk[4] & 0x20


def _checked(chunk: bytes) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def _decodes(marker: int) -> bool:
    """Whether decoding needs a segment: all but APP1 to APP13, APP15 and comments."""
    return marker in (0xE0, 0xEE) or not (0xE0 <= marker <= 0xEF or marker == COMMENT)
