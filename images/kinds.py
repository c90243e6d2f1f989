"""Codec and size of image files, read from their first bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from images.containers import PNG_SIGNATURE, Source, jpeg_segments, open_source
from images.media_boxes import MAX_BRANDS_BYTES, read_brands, read_properties

MAX_PIXELS = 300_000_000
"""Size limit of decoded images; phone cameras reach 200 megapixels."""

MAGIC = {
    PNG_SIGNATURE: "png",
    b"\xff\xd8\xff": "jpg",
    b"BM": "bmp",
    b"II*\0": "tif",
    b"MM\0*": "tif",
    b"II+\0": "tif",
    b"MM\0+": "tif",
    b"GIF8": "gif",
}
"""First bytes of supported formats, except WebP, AVIF and HEIC."""

FOREIGN = {
    b"8BPS": "Photoshop",
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"%PDF": "PDF",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"II\xbc\x01": "JPEG XR",
    b"v/1\x01": "OpenEXR",
    b"\0\0\x01\0": "icon",
    b"<svg": "SVG",
    b"<?xml": "SVG or XML",
}
"""First bytes of unsupported image formats."""

AVIF_BRANDS = {b"avif", b"avis"}
HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"mif1", b"msf1"}
"""Brands of ISO media files that hold images; AVIF files may name those of HEIC too."""

SUPPORTED_KINDS = "a PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF or HEIC image"
DAMAGED = "damaged, cut short or of an unknown kind"


class UnreadableImage(ValueError):
    """Error for an image that is unsupported, damaged or too large."""


def image_codec(source: Source, name: str = "the image") -> str:
    """Recognize the codec by content: png, jpg, webp, bmp, tif, gif, avif or heic.

    Args:
        source: File, bytes or stream.
        name: Name of the image in error messages.

    Raises:
        UnreadableImage: If the codec is another; the message names it if known.
    """
    with open_source(source) as stream:
        begin = stream.read(MAX_BRANDS_BYTES)
    codec = next((codec for magic, codec in MAGIC.items() if begin.startswith(magic)), None)
    if codec is not None:
        return codec
    if begin[:4] == b"RIFF" and begin[8:12] == b"WEBP":
        return "webp"
    foreign = next((kind for magic, kind in FOREIGN.items() if begin.startswith(magic)), None)
    if brands := read_brands(begin):
        if brands & AVIF_BRANDS:
            return "avif"
        if brands & HEIC_BRANDS:
            return "heic"
        foreign = "camera raw" if b"crx " in brands else "video"
    if foreign is not None:
        msg = (
            f"{name}: its content is {foreign}, not {SUPPORTED_KINDS}; "
            "convert it to one of these first"
        )
        raise UnreadableImage(msg)
    msg = f"{name}: not a valid image file; remove or rename it"
    raise UnreadableImage(msg)


def header_size(source: Source, name: str | None = None) -> tuple[int, int]:
    """Read width and height of an image without decoding it.

    Args:
        source: File, bytes or stream.
        name: Name of the image in error messages; the path if None.

    Returns:
        Stored width and height in pixels, before EXIF orientation.

    Raises:
        UnreadableImage: If the image is unsupported or its header is damaged.
        OSError: If the file does not exist or cannot be read.
    """
    name = name or (str(source) if isinstance(source, Path) else "the image")
    with open_source(source) as stream:
        read = SIZES[image_codec(stream, name)]
        stream.seek(0)
        try:
            width, height = read(stream)
        except (struct.error, ValueError, IndexError, KeyError, OverflowError) as error:
            reason = f"{DAMAGED} (no size in its header)"
            msg = f"{name}: {reason}; get a complete copy or convert it to PNG"
            raise UnreadableImage(msg) from error
    if width < 1 or height < 1:
        msg = f"{name}: damaged (its header says {width} by {height} pixels); get a complete copy"
        raise UnreadableImage(msg)
    return width, height


def refuse_large(width: int, height: int, name: str) -> None:
    """Refuse images above :data:`MAX_PIXELS`.

    Args:
        width: Width in pixels.
        height: Height in pixels.
        name: Name of the image in error messages.

    Raises:
        UnreadableImage: If the image is larger.
    """
    if width * height > MAX_PIXELS:
        size = f"{width} by {height} pixels, more than {MAX_PIXELS:,} pixels"
        msg = f"{name}: {size}; scale it down first"
        raise UnreadableImage(msg)


def _png_size(stream: BinaryIO) -> tuple[int, int]:
    return struct.unpack(">2I", stream.read(24)[16:])


def _jpeg_size(stream: BinaryIO) -> tuple[int, int]:
    for marker, offset, _ in jpeg_segments(stream):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # frames, not tables
            stream.seek(offset)
            _, height, width = struct.unpack(">B2H", stream.read(5))
            return width, height
    raise ValueError


def _webp_size(stream: BinaryIO) -> tuple[int, int]:
    head = stream.read(30)
    if head[12:16] == b"VP8 ":
        width, height = struct.unpack_from("<2H", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    if head[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if head[12:16] == b"VP8X" and len(head) == 30:
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    raise ValueError


def _bmp_size(stream: BinaryIO) -> tuple[int, int]:
    head = stream.read(26)
    if struct.unpack_from("<I", head, 14)[0] == 12:  # OS/2
        return struct.unpack_from("<2H", head, 18)
    width, height = struct.unpack_from("<2i", head, 18)
    return width, abs(height)  # negative if rows are stored top-down


def _tiff_size(stream: BinaryIO) -> tuple[int, int]:
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = b"+" in head[2:4]
    count_format, entry_format, entry_bytes = ("Q", "HHQ", 20) if big else ("H", "HHI", 12)
    (first,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
    stream.seek(first)
    (count,) = struct.unpack(order + count_format, stream.read(8 if big else 2))
    # Read width (tag 256) and height (tag 257) from the first directory.
    kinds = {1: "B", 3: "H", 4: "I", 16: "Q"}
    sizes: dict[int, int] = {}
    for _ in range(min(count, 65535)):
        entry = stream.read(entry_bytes)
        tag, kind, _number = struct.unpack_from(order + entry_format, entry)
        if tag in (256, 257):
            offset = entry_bytes - (8 if big else 4)
            (sizes[tag],) = struct.unpack_from(order + kinds[kind], entry, offset)
        if len(sizes) == 2:
            break
    return sizes[256], sizes[257]


def _gif_size(stream: BinaryIO) -> tuple[int, int]:
    return struct.unpack("<2H", stream.read(10)[6:])


def _media_size(stream: BinaryIO) -> tuple[int, int]:
    return read_properties(stream).size


SIZES: dict[str, Callable[[BinaryIO], tuple[int, int]]] = {
    "png": _png_size,
    "jpg": _jpeg_size,
    "webp": _webp_size,
    "bmp": _bmp_size,
    "tif": _tiff_size,
    "gif": _gif_size,
    "avif": _media_size,
    "heic": _media_size,
}
"""Readers of width and height, by codec."""
