"""Encoding of an image as another file is encoded, so that files do not tell the two apart.

Equal are codec, color mode, transparency, color profile, metadata, tables, subsampling and order of
coding. Thumbnails are made anew.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, JpegImagePlugin

from images.containers import jpeg_segments
from images.grafting import graft_jpeg, graft_png, replace_embedded
from images.io import UPRIGHT, decode_photo
from images.kinds import DAMAGED, UnreadableImage
from images.metadata import DESCRIPTIVE
from images.pillow import CODECS, open_image
from images.transforms.protocol import RGBImage

TURNED_BACK = {6: 8, 8: 6}
"""Orientation that undoes another; all others undo themselves."""

HUFFMAN_TABLES = 0xC4
RESTART_INTERVAL = 0xDD

SIZE_STEPS = 6
"""Halvings of the range of qualities, in the search for one that gives a file's size."""

THUMBNAIL_QUALITIES = (85, 75, 60, 45, 30, 15, 5, 1)


def encode_like(rgb: RGBImage, content: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Encode an image with the encoding and the metadata of another file.

    Args:
        rgb: (H, W, 3) uint8, upright, of the other image's size, in its color space.
        content: The other file.

    Returns:
        The encoded file, and a sentence for each difference that is left.

    Raises:
        UnreadableImage: If the other file is damaged, be it in its metadata alone.
        ValueError: If the sizes differ.
    """
    original = decode_photo(content, "the source").rgb
    if original.shape != rgb.shape:
        msg = f"the image is {rgb.shape[:2]}, the file to imitate {original.shape[:2]}"
        raise ValueError(msg)
    try:
        return _encode_like(rgb, original, content)
    except UnreadableImage:
        raise
    except Exception as error:  # damaged metadata makes Pillow raise nearly anything
        msg = f"the source: its metadata is {DAMAGED} ({error}), so that no file can be like it"
        raise UnreadableImage(msg) from error


def _encode_like(
    rgb: RGBImage, original: RGBImage, content: bytes
) -> tuple[bytes, tuple[str, ...]]:
    """Encode an image as a file whose pixels are ``original``; see :func:`encode_like`."""
    with open_image(content, "the source", []) as source:
        source.load()
        codec = CODECS[source.format or ""]
        orientation = 1 if codec == "tif" else source.getexif().get(ExifTags.Base.Orientation, 1)
        turn = UPRIGHT.get(TURNED_BACK.get(orientation, orientation), np.asarray)
        image, differences = _in_mode(source, turn(original), np.ascontiguousarray(turn(rgb)))
        if codec == "png" and content[24] == 16 and image.mode == "RGB":
            differences += ("8 bits a channel instead of 16",)
        if codec == "png" and source.info.get("interlace"):
            differences += ("not interlaced",)
        return _ENCODERS[codec](image, source, content), differences


def _in_mode(
    source: Image.Image, before: RGBImage, after: RGBImage
) -> tuple[Image.Image, tuple[str, ...]]:
    """Convert an image to the color mode of a file.

    Gray values change by the difference of luma, so that those of equal colors stay.

    Args:
        source: The file.
        before: Its pixels, (H, W, 3).
        after: The new pixels, (H, W, 3).
    """
    image = Image.fromarray(after)
    mode = source.mode
    if mode in ("L", "LA", "I;16"):
        native = np.asarray(source.getchannel(0) if mode == "LA" else source)
        change = _luma(after) - _luma(before)
        top = 65535 if mode == "I;16" else 255
        gray = np.clip(native + change * (top / 255), 0, top).round().astype(native.dtype)
        image = Image.fromarray(gray)
    elif mode in ("P", "PA") and "transparency" in source.info:
        rgba = source.convert("RGBA")
        image.putalpha(rgba.getchannel("A"))
        return image.quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE), ()
    elif mode == "P":
        return image.quantize(dither=Image.Dither.NONE), ()
    elif mode == "1":
        return image.convert("1", dither=Image.Dither.NONE), ()
    elif mode not in ("RGB", "RGBA"):
        return image, (f"RGB instead of {mode}",)
    if mode in ("LA", "RGBA"):
        image.putalpha(source.getchannel("A"))
    return image, ()


def _luma(rgb: RGBImage) -> NDArray[np.float32]:
    return np.asarray(rgb @ np.array((0.299, 0.587, 0.114), np.float32), np.float32)


def _jpeg(image: Image.Image, source: Image.Image, content: bytes) -> bytes:
    assert isinstance(source, JpegImagePlugin.JpegImageFile)
    sampling = JpegImagePlugin.get_sampling(source)
    options: dict[str, Any] = {
        "qtables": source.quantization,
        "progressive": bool(source.info.get("progressive")),
        "keep_rgb": source.info.get("adobe_transform") == 0 and source.mode == "RGB",
    }
    if image.mode == "RGB":
        options["subsampling"] = 2 if sampling < 0 else sampling
    if interval := _segments(content, RESTART_INTERVAL):
        options["restart_marker_blocks"] = int.from_bytes(interval[:2], "big")
    plain = _saved(image, "JPEG", options)
    if _segments(plain, HUFFMAN_TABLES) != _segments(content, HUFFMAN_TABLES):
        plain = _saved(image, "JPEG", options | {"optimize": True})
    if image.mode != source.mode:  # profile and color transform are of the other mode
        return plain
    return graft_jpeg(plain, content, _thumbnail_of(image))


def _png(image: Image.Image, source: Image.Image, content: bytes) -> bytes:
    if image.mode != source.mode:
        return _saved(image, "PNG", {})
    plain = _saved(image, "PNG", {})
    return graft_png(plain, content, _thumbnail_of(image), image.mode == "P")


def _tiff(image: Image.Image, source: Image.Image, content: bytes) -> bytes:
    options: dict[str, Any] = {"compression": source.info.get("compression", "raw")}
    if ExifTags.Base.XResolution in source.getexif():
        options["dpi"] = source.info["dpi"]
    tags = source.getexif()
    kept = Image.Exif()
    for tag in set(tags) & _KEPT_TIFF_TAGS:
        kept[tag] = tags[tag]
    if options["compression"] == "raw":  # libtiff, which compresses, refuses directories
        for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            if directory in tags:
                kept.get_ifd(directory).update(tags.get_ifd(directory))
    if tags.get(ExifTags.Base.Orientation) == 1:
        kept[ExifTags.Base.Orientation] = 1
    options["exif"] = replace_embedded(kept.tobytes(), _thumbnail_of(image))
    return _saved(image, "TIFF", options | {"icc_profile": source.info.get("icc_profile")})


def _by_size(image: Image.Image, source: Image.Image, content: bytes) -> bytes:
    """Encode at the quality that gives about the source's size; lossless if that is lossless."""
    format_ = {"avif": "AVIF", "heic": "HEIF"}.get(CODECS[source.format or ""], "WEBP")
    options: dict[str, Any] = {}
    for name in ("exif", "icc_profile", "xmp"):
        if source.info.get(name):
            options[name] = source.info[name]
    if "exif" in options:
        options["exif"] = replace_embedded(options["exif"], _thumbnail_of(image))
    if format_ == "WEBP" and b"VP8L" in content[:64]:
        return _saved(image, format_, options | {"lossless": True})
    low, high = 1, 100
    for _ in range(SIZE_STEPS):
        quality = (low + high) // 2
        made = _saved(image, format_, options | {"quality": quality})
        low, high = (quality, high) if len(made) < len(content) else (low, quality)
    return made


def _plain(image: Image.Image, source: Image.Image, content: bytes) -> bytes:
    return _saved(image, source.format or "", {})


def _saved(image: Image.Image, format_: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format_, **options)
    return buffer.getvalue()


def _segments(content: bytes, marker: int) -> bytes:
    """Return the joined content of a JPEG's segments of one kind, up to the first scan."""
    found = b""
    for kind, offset, length in jpeg_segments(io.BytesIO(content)):
        if kind == marker:
            found += content[offset : offset + length]
    return found


def _thumbnail_of(image: Image.Image) -> Callable[[bytes], bytes]:
    """Return a function that makes thumbnails of an image, in the size and length of others."""

    def replace(old: bytes) -> bytes:
        try:
            with open_image(old, "a thumbnail", []) as thumbnail:
                size = thumbnail.size
        except Exception:  # damaged thumbnails show nothing, and make Pillow raise nearly anything
            return old
        small = ImageOps.fit(image.convert("RGB"), size)
        for quality in THUMBNAIL_QUALITIES:
            made = _saved(small, "JPEG", {"quality": quality})
            if len(made) <= len(old):
                return made
        return b""

    return replace


_KEPT_TIFF_TAGS = frozenset({*DESCRIPTIVE, 700})
"""TIFF tags that are copied: descriptions, and XMP."""

_ENCODERS: dict[str, Callable[[Image.Image, Image.Image, bytes], bytes]] = {
    "jpg": _jpeg,
    "png": _png,
    "tif": _tiff,
    "webp": _by_size,
    "avif": _by_size,
    "heic": _by_size,
    "bmp": _plain,
    "gif": _plain,
}
