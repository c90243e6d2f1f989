"""Kinds and sizes of image files, told from their first bytes; no decoder is asked."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from images.containers import PNG_SIGNATURE, Source, jpeg_segments, open_source

MAX_PIXELS = 300_000_000
"""Largest image that is decoded; phones make up to 200 megapixels."""

MAGIC = {
    PNG_SIGNATURE: "png",
    b"\xff\xd8\xff": "jpg",
    b"BM": "bmp",
    b"II*\0": "tif",
    b"MM\0*": "tif",
    b"II+\0": "tif",
    b"MM\0+": "tif",
}
"""How files begin that are read, but for WebP."""

FOREIGN = {
    b"GIF8": "GIF",
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
"""How files begin that are images of a kind that is not read."""

HEIC = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")
BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"crx ": "camera raw"} | dict.fromkeys(HEIC, "HEIC")
"""Brands of ISO media files that are images."""


PROMISED = "a PNG, JPEG, WebP, TIFF or BMP image"
DAMAGED = "damaged, cut short or of an unknown kind"


class UnreadableImage(ValueError):
    """A file that is not an image, not of a kind that is read, damaged, or too large to open."""


def image_codec(source: Source, name: str = "the image") -> str:
    """Tell the codec of an image file by its content: png, jpg, webp, bmp or tif.

    Raises:
        UnreadableImage: If it is none of these; images of other kinds are named.
    """
    with open_source(source) as stream:
        begin = stream.read(32)
    codec = next((codec for magic, codec in MAGIC.items() if begin.startswith(magic)), None)
    if codec is not None:
        return codec
    if begin[:4] == b"RIFF" and begin[8:12] == b"WEBP":
        return "webp"
    foreign = next((kind for magic, kind in FOREIGN.items() if begin.startswith(magic)), None)
    if begin[4:8] == b"ftyp":
        foreign = BRANDS.get(begin[8:12], "video")
    if foreign is not None:
        msg = f"{name}: its content is {foreign}, not {PROMISED}; convert it to one of these first"
        raise UnreadableImage(msg)
    msg = f"{name}: not a valid image file; remove or rename it"
    raise UnreadableImage(msg)


def header_size(source: Source, name: str | None = None) -> tuple[int, int]:
    """Read width and height of an image file, in microseconds and without decoding it.

    Args:
        source: The file, its bytes or a stream.
        name: What messages call it; the path if there is one.

    Returns:
        Width and height as they are stored; an EXIF orientation may swap them.

    Raises:
        UnreadableImage: If it is not an image that is read, or its header is damaged.
        OSError: If there is no such file or it may not be read.
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
    """Raise UnreadableImage if a size is above :data:`MAX_PIXELS`."""
    if width * height > MAX_PIXELS:
        size = f"{width} by {height} pixels, more than {MAX_PIXELS:,} pixels"
        msg = f"{name}: {size}; scale it down first"
        raise UnreadableImage(msg)


def _png_size(stream: BinaryIO) -> tuple[int, int]:
    return struct.unpack(">2I", stream.read(24)[16:])


def _jpeg_size(stream: BinaryIO) -> tuple[int, int]:
    for marker, place, _ in jpeg_segments(stream):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # frames, not tables
            stream.seek(place)
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
    return width, abs(height)  # rows may be stored from above


def _tiff_size(stream: BinaryIO) -> tuple[int, int]:
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = b"+" in head[2:4]
    count_format, entry_format, entry_bytes = ("Q", "HHQ", 20) if big else ("H", "HHI", 12)
    (first,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
    stream.seek(first)
    (count,) = struct.unpack(order + count_format, stream.read(8 if big else 2))
    kinds = {1: "B", 3: "H", 4: "I", 16: "Q"}
    found: dict[int, int] = {}
    for _ in range(min(count, 65535)):
        entry = stream.read(entry_bytes)
        tag, kind, _number = struct.unpack_from(order + entry_format, entry)
        if tag in (256, 257):
            place = entry_bytes - (8 if big else 4)
            (found[tag],) = struct.unpack_from(order + kinds[kind], entry, place)
        if len(found) == 2:
            break
    return found[256], found[257]


SIZES: dict[str, Callable[[BinaryIO], tuple[int, int]]] = {
    "png": _png_size,
    "jpg": _jpeg_size,
    "webp": _webp_size,
    "bmp": _bmp_size,
    "tif": _tiff_size,
}
