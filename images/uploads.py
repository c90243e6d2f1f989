"""Decoding of untrusted uploads, after checks of size, codec and trailing data."""

from __future__ import annotations

import struct
from pathlib import Path

from images.containers import jpeg_end, png_end
from images.io import decode_photo
from images.kinds import UnreadableImage, header_size, image_codec
from images.photo import Photo

MAX_UPLOAD_BYTES = 25_000_000
"""Default size limit of an uploaded file."""

CODECS = ("png", "jpg", "webp", "bmp", "tif")
"""Codecs of uploaded images, whose ends are known."""

MAX_UPLOAD_PIXELS = 30_000_000
"""Default size limit of an uploaded image."""


def open_upload(
    path: Path,
    max_bytes: int = MAX_UPLOAD_BYTES,
    max_pixels: int = MAX_UPLOAD_PIXELS,
) -> Photo:
    """Decode an untrusted image file.

    Args:
        path: The file; its name is used in messages only.
        max_bytes: Size limit of the file.
        max_pixels: Size limit of the image, checked before decoding.

    Raises:
        UnreadableImage: If the file is too large, not an image, damaged, or has data after the
            image, as polyglot files have.
    """
    name = path.name
    if path.stat().st_size > max_bytes:
        msg = f"{name}: more than {max_bytes / 1e6:.0f} MB; scale it down first"
        raise UnreadableImage(msg)
    return decode_upload(path.read_bytes(), name, max_pixels)


def decode_upload(content: bytes, name: str, max_pixels: int = MAX_UPLOAD_PIXELS) -> Photo:
    """Decode an untrusted image.

    Args:
        content: The encoded image.
        name: Its name in messages.
        max_pixels: Size limit of the image, checked before decoding.

    Raises:
        UnreadableImage: See :func:`open_upload`, apart from the file's size.
    """
    # Check codec and size.
    codec = image_codec(content, name)
    if codec not in CODECS:
        msg = f"{name}: a {codec.upper()} image; save it as PNG, JPEG, WebP, TIFF or BMP first"
        raise UnreadableImage(msg)
    width, height = header_size(content, name)
    if width * height > max_pixels:
        size = f"{width} by {height}, more than {max_pixels / 1e6:.0f} million pixels"
        msg = f"{name}: {size}; scale it down first"
        raise UnreadableImage(msg)
    # Refuse data after the image.
    end = image_end(content, codec)
    if end is not None and content[end:].strip(b"\0\r\n"):
        extra = f"{len(content) - end} bytes after the end of the image"
        msg = f"{name}: {extra}; save it again with an image editor"
        raise UnreadableImage(msg)
    return decode_photo(content, name)


def image_end(content: bytes, codec: str) -> int | None:
    """Find the end offset of an image in its file.

    JPEGs that follow a JPEG, as some cameras write them, belong to the image.

    Returns:
        The offset; the file's length if truncated; None for TIFF, which has no fixed end.
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
