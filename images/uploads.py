"""Opening files of strangers: decoded once size, kind and end of the file are a plain image's."""

from __future__ import annotations

import struct
from pathlib import Path

from images.containers import jpeg_end, png_end
from images.io import Photo, UnreadableImage, decode_photo
from images.kinds import header_size, image_codec

MAX_UPLOAD_BYTES = 25_000_000
MAX_UPLOAD_PIXELS = 30_000_000


def open_upload(path: Path, most_bytes: int = MAX_UPLOAD_BYTES, most_pixels: int = MAX_UPLOAD_PIXELS) -> Photo:
    """Decode an image that a stranger handed in.

    Args:
        path: The file; its name is used in messages only.
        most_bytes: Larger files are refused.
        most_pixels: Larger images are refused, before they are decoded.

    Raises:
        UnreadableImage: If it is too large, of another kind, damaged, or has anything behind the
            image, as files have that are two things at once.
    """
    name = path.name
    if path.stat().st_size > most_bytes:
        msg = f"{name}: more than {most_bytes / 1e6:.0f} MB; scale it down first"
        raise UnreadableImage(msg)
    content = path.read_bytes()
    codec = image_codec(content, name)
    width, height = header_size(content, name)
    if width * height > most_pixels:
        size = f"{width} by {height}, more than {most_pixels / 1e6:.0f} million pixels"
        msg = f"{name}: {size}; scale it down first"
        raise UnreadableImage(msg)
    end = image_end(content, codec)
    if end is not None and content[end:].strip(b"\0\r\n"):
        extra = f"{len(content) - end} bytes behind the end of the picture"
        msg = f"{name}: {extra}; save it anew with a picture editor"
        raise UnreadableImage(msg)
    return decode_photo(content, name)


def image_end(content: bytes, codec: str) -> int | None:
    """Find where an image's bytes end in its file, or its length if it is cut short.

    None is for TIFF, which has no fixed end. Further JPEGs behind a JPEG, as some cameras put
    there, are its own.
    """
    if codec == "png":
        return png_end(content)
    if codec == "jpg":
        end = jpeg_end(content)
        further = content.find(b"\xff\xd8\xff", end)
        while further >= 0 and not content[end:further].strip(b"\0"):
            end = further + jpeg_end(content[further:])
            further = content.find(b"\xff\xd8\xff", end)
        return end
    if codec == "webp":
        return 8 + struct.unpack_from("<I", content, 4)[0]
    if codec == "bmp":
        return max(struct.unpack_from("<I", content, 2)[0], 54)
    return None
