"""Conversion of color modes and profiles to 8-bit RGB.

RGB images keep their values and their profile. Gray, CMYK and LAB images are converted to sRGB,
through their profile if they have one.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin

from images.containers import png_chunks
from images.media_boxes import read_properties
from images.profiles import png_profile

Pixels = NDArray[np.uint8]
Convert = Callable[[Image.Image], Image.Image]

BAND_PIXELS = 1 << 18
"""Pixels converted at a time; bounds the memory, and bands of this size fit a processor's cache."""

MODE_OF_SPACE = {"GRAY": "L", "CMYK": "CMYK", "Lab": "LAB", "RGB": "RGB"}
"""Pillow's image mode by the color space of a profile."""

MODE_NAMES = {"L": "gray"}
"""Names of modes in messages, where they differ from Pillow's."""

SRGB_PRIMARIES = (None, 1, 2)
"""Codes of color primaries (ITU-T H.273) that are sRGB's, or not stated."""

HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}
"""Names of transfer functions of high dynamic range, by code."""

OPAQUE_MODES = {"1": "L", "L": "L", "LA": "L", "La": "L", "CMYK": "CMYK", "LAB": "LAB"}
"""Mode without transparency, for modes that are not RGB or palette."""


def read_colors(
    image: Image.Image,
    stream: BinaryIO,
    notes: list[str],
) -> tuple[Pixels, Pixels | None, bytes | None]:
    """Convert a decoded image to 8-bit RGB.

    Args:
        image: Image loaded by Pillow.
        stream: The image file.
        notes: Receives a sentence for each conversion and each loss.

    Returns:
        (H, W, 3) uint8 values, (H, W) uint8 alpha or None, and the RGB profile of the values, None
        for sRGB.

    Raises:
        ValueError: If the values have no known range.
    """
    # Read the bit depth.
    small = _small_chunks(stream) if image.format == "PNG" else {}
    depth = _depth(image, small)
    if image.mode in ("I", "F"):
        msg = f"its {depth}-bit values have no known range; save it with 8 or 16 bits"
        raise ValueError(msg)
    if image.format in ("AVIF", "HEIF"):
        depth = _note_media_colors(image, stream, notes)
    if depth > 8:
        notes.append(f"{depth} bits a channel were reduced to 8")
    # Separate the transparency.
    key = _transparency(image, depth)
    alpha = None
    if image.mode.startswith("I;16"):
        image, alpha = _eight_bits(image, depth, key)
    elif isinstance(key, tuple) and depth == 16:
        alpha = _wide_key(stream, key)
    elif image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or key is not None:
        alpha = _banded(image, _alpha, ())
    # Convert the colors.
    mode = OPAQUE_MODES.get(image.mode, "RGB")
    profile = _profile(image, mode, small, notes)
    rgb = _banded(image, _converter(mode, profile, notes), (3,))
    is_rgb = profile is not None and profile_mode(profile) == "RGB"
    return rgb, alpha, profile if is_rgb else None


def _note_media_colors(image: Image.Image, stream: BinaryIO, notes: list[str]) -> int:
    """Note colors that are not converted, and return the bits a channel of AVIF and HEIC.

    The decoder reduces them to 8 itself.
    """
    properties = read_properties(stream)
    if name := HIGH_DYNAMIC_RANGE.get(properties.transfer or 0):
        notes.append(f"its high dynamic range ({name}) is not converted, so its colors are off")
    elif "icc_profile" not in image.info and properties.primaries not in SRGB_PRIMARIES:
        notes.append("its wide color gamut without a profile is read as sRGB")
    return properties.bits or 8


def to_srgb(rgb: Pixels, icc: bytes) -> Pixels:
    """Convert (H, W, 3) uint8 values from a profile to sRGB.

    A damaged profile is ignored.
    """
    if profile_mode(icc) != "RGB":
        return rgb
    transform = _transform(icc, "RGB")
    result = np.empty_like(rgb)
    for rows in _bands(*rgb.shape[:2]):
        result[rows] = np.asarray(ImageCms.applyTransform(Image.fromarray(rgb[rows]), transform))
    return result


@lru_cache(maxsize=32)
def profile_mode(icc: bytes) -> str | None:
    """Return Pillow's mode for a profile's color space; None if unusable."""
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space.strip()
        _transform(icc, MODE_OF_SPACE[space])
    except Exception:  # a damaged profile makes the library raise nearly anything
        return None
    return MODE_OF_SPACE[space]


def _transform(icc: bytes | None, mode: str) -> ImageCms.ImageCmsTransform:
    if icc is None:
        profile: Any = ImageCms.createProfile("LAB")
    else:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")


def _profile(
    image: Image.Image,
    mode: str,
    small: Mapping[bytes, bytes],
    notes: list[str],
) -> bytes | None:
    """Return the profile of an image's values; None if missing or unusable."""
    if image.format == "PNG" and (b"cICP" in small or b"iCCP" not in small):
        try:
            return png_profile(small)
        except ValueError as error:
            notes.append(f"{error}, and was dropped")
    if "icc_profile" not in image.info:
        return None
    profile = image.info["icc_profile"]
    profile_space = profile_mode(profile) if isinstance(profile, bytes) else None
    if profile_space == mode:
        return profile
    reason = "is damaged"
    if profile_space is not None:
        reason = f"is for {MODE_NAMES.get(profile_space, profile_space)} images"
    notes.append(f"its color profile {reason} and was dropped")
    return None


def _converter(mode: str, profile: bytes | None, notes: list[str]) -> Convert:
    """Choose the conversion of a mode to RGB.

    It goes through the profile, unless an RGB profile is kept.
    """
    if mode == "RGB" or (profile is not None and profile_mode(profile) == "RGB"):
        return _rgb
    if profile is None and mode != "LAB":
        if mode == "CMYK":
            notes.append("CMYK without a usable profile was converted to RGB by the simple formula")
        return _rgb
    way = " through its color profile" if profile else ""
    notes.append(f"{MODE_NAMES.get(mode, mode)} was converted to sRGB{way}")
    transform = _transform(profile, mode)

    def convert(band: Image.Image) -> Image.Image:
        plain = band.getchannel(0) if band.mode in ("LA", "La") else band.convert(mode)
        return ImageCms.applyTransform(plain, transform) or plain

    return convert


def _rgb(band: Image.Image) -> Image.Image:
    if band.mode in ("RGBa", "La"):  # colors premultiplied by alpha
        band = band.convert("RGBA" if band.mode == "RGBa" else "LA")
    if "transparency" in band.info:
        band = band.convert("RGBA")
    return band if band.mode == "RGB" else band.convert("RGB")


def _alpha(band: Image.Image) -> Image.Image:
    return (band.convert("LA") if band.mode == "La" else band).convert("RGBA").getchannel("A")


def _banded(image: Image.Image, convert: Convert, channels: tuple[int, ...]) -> Pixels:
    """Convert an image band by band to (H, W, *channels) uint8."""
    result = np.empty((image.height, image.width, *channels), np.uint8)
    for rows in _bands(image.height, image.width):
        whole = rows.stop - rows.start == image.height
        band = image if whole else image.crop((0, rows.start, image.width, rows.stop))
        result[rows] = np.asarray(convert(band))
    return result


def _bands(height: int, width: int) -> list[slice]:
    step = max(1, BAND_PIXELS // width)
    return [slice(top, min(top + step, height)) for top in range(0, height, step)]


def _small_chunks(stream: BinaryIO) -> dict[bytes, bytes]:
    """Read a PNG's header and color chunks, up to 32 bytes each."""
    chunks: dict[bytes, bytes] = {}
    for kind, offset, length in png_chunks(stream):
        if kind == b"IDAT":
            break
        if kind in (b"IHDR", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"iCCP"):
            stream.seek(offset)
            chunks.setdefault(kind, stream.read(min(length, 32)))
    return chunks


def _depth(image: Image.Image, small: Mapping[bytes, bytes]) -> int:
    """Return the bits per channel in the file."""
    if b"IHDR" in small:
        return small[b"IHDR"][8]
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
        return int(max(bits)) if isinstance(bits, tuple) else int(bits)
    return 16 if image.mode.startswith("I;16") else 8


def _transparency(image: Image.Image, depth: int) -> Any:
    """Return the transparent value or palette entries; None without transparency.

    Values of gray images below 8 bits are scaled, which Pillow omits.
    """
    key = image.info.get("transparency")
    if not isinstance(key, int | bytes | tuple):  # a text chunk of that name
        image.info.pop("transparency", None)
        return None
    if image.mode == "L" and isinstance(key, int) and depth < 8:
        key = image.info["transparency"] = key * 255 // (2**depth - 1)
    return key


def _eight_bits(
    image: Image.Image,
    depth: int,
    key: int | None,
) -> tuple[Image.Image, Pixels | None]:
    """Reduce a gray image of 9 to 16 bits to 8 bits.

    Returns:
        The 8-bit image, and (H, W) uint8 alpha or None.
    """
    values = np.asarray(image)
    alpha = None if key is None else np.where(values == key, 0, 255).astype(np.uint8)
    gray_u8 = (values >> (depth - 8)).astype(np.uint8)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        photometric = image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION)
        gray_u8 = 255 - gray_u8 if photometric == 0 else gray_u8  # zero is white
    gray = Image.fromarray(gray_u8)
    gray.info = {name: value for name, value in image.info.items() if name != "transparency"}
    gray.format = image.format
    return gray, alpha


def _wide_key(stream: BinaryIO, key: tuple[int, ...]) -> Pixels:
    """Return the alpha of a PNG with one transparent 16-bit color.

    Pillow compares 8 bits only.
    """
    import pyspng

    stream.seek(0)
    values = pyspng.load(stream.read())
    return np.where((values[..., :3] == key).all(axis=-1), 0, 255).astype(np.uint8)
