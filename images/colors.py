"""Colour modes and profiles: RGB of 8 bits as a viewer shows an image.

An RGB image keeps its values and its profile. Grey, CMYK and LAB are brought to sRGB, through
their profile where they have one.
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
from images.profiles import png_profile

Pixels = NDArray[np.uint8]
Convert = Callable[[Image.Image], Image.Image]

BAND = 1 << 22
"""Pixels that are converted at a time, to keep no second copy of a large image."""

SPACES = {"GRAY": "L", "CMYK": "CMYK", "Lab": "LAB", "RGB": "RGB"}
"""Colour spaces of profiles, and Pillow's mode of images in them."""

NAMES = {"L": "grey"}

BARE = {"1": "L", "L": "L", "LA": "L", "La": "L", "CMYK": "CMYK", "LAB": "LAB"}
"""Modes without transparency of those that are not RGB of a kind."""


def read_colors(
    image: Image.Image,
    stream: BinaryIO,
    notes: list[str],
) -> tuple[Pixels, Pixels | None, bytes | None]:
    """Convert a decoded image.

    Args:
        image: Loaded by Pillow.
        stream: Its file.
        notes: Takes a sentence for everything that is converted, reduced or dropped.

    Returns:
        (H, W, 3) values, (H, W) transparency if the image has any, and the RGB profile that the
        values are in, if not sRGB.

    Raises:
        ValueError: If its values have no known range.
    """
    small = _small_chunks(stream) if image.format == "PNG" else {}
    depth = _depth(image, small)
    if image.mode in ("I", "F"):
        msg = f"its values are of {depth} bits and of no known range; save it with 8 or 16 bits"
        raise ValueError(msg)
    if depth > 8:
        notes.append(f"{depth} bits a channel were reduced to 8")
    key = _transparency(image, depth)
    alpha = None
    if image.mode.startswith("I;16"):
        image, alpha = _eight_bits(image, depth, key)
    elif isinstance(key, tuple) and depth == 16:
        alpha = _wide_key(stream, key)
    elif image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or key is not None:
        alpha = _banded(image, _alpha, ())
    mode = BARE.get(image.mode, "RGB")
    profile = _profile(image, mode, small, notes)
    rgb = _banded(image, _converter(mode, profile, notes), (3,))
    kept = profile is not None and profile_mode(profile) == "RGB"
    return rgb, alpha, profile if kept else None


def to_srgb(rgb: Pixels, icc: bytes) -> Pixels:
    """Convert (H, W, 3) values from a profile to sRGB; a damaged profile is taken for sRGB."""
    if profile_mode(icc) != "RGB":
        return rgb
    transform = _transform(icc, "RGB")
    result = np.empty_like(rgb)
    for rows in _bands(*rgb.shape[:2]):
        result[rows] = np.asarray(ImageCms.applyTransform(Image.fromarray(rgb[rows]), transform))
    return result


@lru_cache(maxsize=32)
def profile_mode(icc: bytes) -> str | None:
    """Tell Pillow's mode of the images that a profile is for; None if it is of no use."""
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space.strip()
        _transform(icc, SPACES[space])
    except Exception:  # a damaged profile makes the library raise nearly anything
        return None
    return SPACES[space]


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
    """The profile that an image's values are in, if there is one that can be used."""
    if image.format == "PNG" and (b"cICP" in small or b"iCCP" not in small):
        try:
            return png_profile(small)
        except ValueError as error:
            notes.append(f"{error}, and was dropped")
    if "icc_profile" not in image.info:
        return None
    profile = image.info["icc_profile"]
    found = profile_mode(profile) if isinstance(profile, bytes) else None
    if found == mode:
        return profile
    reason = "is damaged" if found is None else f"is for {NAMES.get(found, found)} images"
    notes.append(f"its colour profile {reason} and was dropped")
    return None


def _converter(mode: str, profile: bytes | None, notes: list[str]) -> Convert:
    """How an image is brought to RGB: through its profile, unless that is kept."""
    if mode == "RGB" or (profile is not None and profile_mode(profile) == "RGB"):
        return _rgb
    if profile is None and mode != "LAB":
        if mode == "CMYK":
            notes.append("CMYK without a usable profile was converted to RGB by the simple formula")
        return _rgb
    way = " through its colour profile" if profile else ""
    notes.append(f"{NAMES.get(mode, mode)} was converted to sRGB{way}")
    transform = _transform(profile, mode)

    def convert(band: Image.Image) -> Image.Image:
        plain = band.getchannel(0) if band.mode in ("LA", "La") else band.convert(mode)
        return ImageCms.applyTransform(plain, transform) or plain

    return convert


def _rgb(band: Image.Image) -> Image.Image:
    if band.mode in ("RGBa", "La"):  # colours multiplied with their transparency
        band = band.convert("RGBA" if band.mode == "RGBa" else "LA")
    if "transparency" in band.info:
        band = band.convert("RGBA")
    return band.convert("RGB")


def _alpha(band: Image.Image) -> Image.Image:
    return (band.convert("LA") if band.mode == "La" else band).convert("RGBA").getchannel("A")


def _banded(image: Image.Image, convert: Convert, channels: tuple[int, ...]) -> Pixels:
    """Values of a converted image, (H, W, *channels), a band of rows at a time."""
    result = np.empty((image.height, image.width, *channels), np.uint8)
    for rows in _bands(image.height, image.width):
        whole = rows.stop - rows.start == image.height
        band = image if whole else image.crop((0, rows.start, image.width, rows.stop))
        result[rows] = np.asarray(convert(band))
    return result


def _bands(height: int, width: int) -> list[slice]:
    step = max(1, BAND // width)
    return [slice(top, min(top + step, height)) for top in range(0, height, step)]


def _small_chunks(stream: BinaryIO) -> dict[bytes, bytes]:
    """A PNG's chunks that say how its values are meant; of iCCP only that it is there."""
    found: dict[bytes, bytes] = {}
    for kind, place, length in png_chunks(stream):
        if kind == b"IDAT":
            break
        if kind in (b"IHDR", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"iCCP"):
            stream.seek(place)
            found.setdefault(kind, stream.read(min(length, 32)))
    return found


def _depth(image: Image.Image, small: Mapping[bytes, bytes]) -> int:
    """Bits of a value in the file."""
    if b"IHDR" in small:
        return small[b"IHDR"][8]
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
        return int(max(bits)) if isinstance(bits, tuple) else int(bits)
    return 8


def _transparency(image: Image.Image, depth: int) -> Any:
    """The transparent value or palette entries, put right where Pillow does not; None if none."""
    key = image.info.get("transparency")
    if not isinstance(key, int | bytes | tuple):  # a text of that name
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
    """A grey image of 9 to 16 bits in 8, and its transparency."""
    values = np.asarray(image)
    alpha = None if key is None else np.where(values == key, 0, 255).astype(np.uint8)
    levels = (values >> (depth - 8)).astype(np.uint8)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        meaning = image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION)
        levels = 255 - levels if meaning == 0 else levels  # zero is white
    grey = Image.fromarray(levels)
    grey.info = {name: value for name, value in image.info.items() if name != "transparency"}
    grey.format = image.format
    return grey, alpha


def _wide_key(stream: BinaryIO, key: tuple[int, ...]) -> Pixels:
    """Transparency of a PNG in which one colour of 16 bits is transparent; Pillow compares 8."""
    import pyspng

    stream.seek(0)
    values = pyspng.load(stream.read())
    return np.where((values[..., :3] == key).all(axis=-1), 0, 255).astype(np.uint8)
