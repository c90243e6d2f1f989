"""Opening files that strangers hand in: nothing is decoded before size, kind and end of the file are what a plain picture's are."""

from __future__ import annotations

import io
import struct
from pathlib import Path

from images.headers import read_header
from images.io import Photo, UnreadableImage, decode_photo

MOST_BYTES = 25_000_000
MOST_PIXELS = 30_000_000

MAGIC = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpg",
    b"RIFF": "webp",
    b"BM": "bmp",
    b"II*\0": "tif",
    b"MM\0*": "tif",
}
"""How the files begin that are read; anything else goes to no decoder at all."""


def open_upload(path: Path, most_bytes: int = MOST_BYTES, most_pixels: int = MOST_PIXELS) -> Photo:
    """Decode a picture that a stranger handed in.

    Args:
        path: The file; its name is used in messages only.
        most_bytes: Larger files are refused.
        most_pixels: Larger pictures are refused, before they are decoded.

    Raises:
        UnreadableImage: If it is too large, of another kind, damaged, or has anything behind the picture, as files have that are two
            things at once.
    """
    name = path.name
    if path.stat().st_size > most_bytes:
        msg = f"{name}: more than {most_bytes / 1e6:.0f} MB; scale it down first"
        raise UnreadableImage(msg)
    content = path.read_bytes()
    codec = next((codec for begin, codec in MAGIC.items() if content.startswith(begin)), None)
    header = read_header(content) if codec else None
    if codec and header is None:
        decode_photo(io.BytesIO(content), name)  # says why it cannot be read
    if header is None or header.codec != codec:
        msg = f"{name}: not a PNG, JPEG, WebP, TIFF or BMP picture, whatever its name says"
        raise UnreadableImage(msg)
    if header.width * header.height > most_pixels:
        msg = f"{name}: {header.width} by {header.height} pixels, more than {most_pixels / 1e6:.0f} million; scale it down first"
        raise UnreadableImage(msg)
    end = picture_end(content, codec)
    if end is not None and content[end:].strip(b"\0\r\n"):
        msg = f"{name}: {len(content) - end} bytes behind the end of the picture; save it anew with a picture editor"
        raise UnreadableImage(msg)
    return decode_photo(io.BytesIO(content), name)


def picture_end(content: bytes, codec: str | None) -> int | None:
    """Where a picture's bytes end in its file, or None where its kind has no fixed end (TIFF); the file's length if it is cut short.

    Further JPEGs behind a JPEG, as some cameras put there, are its own.
    """
    if codec == "png":
        return _png_end(content)
    if codec == "jpg":
        end = _jpeg_end(content)
        while (further := content.find(b"\xff\xd8\xff", end)) >= 0 and not content[end:further].strip(b"\0"):
            end = further + _jpeg_end(content[further:])
        return end
    if codec == "webp":
        return 8 + struct.unpack_from("<I", content, 4)[0]
    if codec == "bmp":
        return max(struct.unpack_from("<I", content, 2)[0], 54)
    return None


def _png_end(content: bytes) -> int:
    place = 8
    while place + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        place += 12 + length
        if kind == b"IEND":
            return place
    return len(content)


def _jpeg_end(content: bytes) -> int:
    place = 2
    while place + 4 <= len(content):
        if content[place] != 0xFF:  # coded picture data, in which 0xFF is followed by 0 or a restart mark
            place = content.find(b"\xff", place)
            if place < 0:
                return len(content)
        mark = content[place + 1]
        if mark == 0xD9:
            return place + 2
        if mark == 0xFF:
            place += 1
        elif mark in (0x00, 0x01) or 0xD0 <= mark <= 0xD8:
            place += 2
        else:
            place += 2 + struct.unpack_from(">H", content, place + 2)[0]
    return len(content)
