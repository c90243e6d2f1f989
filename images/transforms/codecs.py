"""Lossy compression of 8-bit images."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from images.io import encode_as
from images.transforms.protocol import RGBImage

Chroma = Literal["4:4:4", "4:2:2", "4:2:0"]
"""Chroma subsampling of a JPEG: none, columns halved, or columns and rows halved."""


def jpeg(rgb: RGBImage, quality: int, chroma: Chroma = "4:2:0") -> RGBImage:
    """Compress an image as JPEG and decode it, with Pillow.

    Args:
        rgb: (H, W, 3) uint8.
        quality: libjpeg quality, 1 to 100.
        chroma: Chroma subsampling; Pillow's default is 4:2:0.

    Returns:
        (H, W, 3) uint8.
    """
    return _round_trip(rgb, "jpg", quality, chroma)


def webp(rgb: RGBImage, quality: int) -> RGBImage:
    """Compress an (H, W, 3) uint8 image as lossy WebP and decode it.

    ``quality`` is 1 to 100.
    """
    return _round_trip(rgb, "webp", quality)


def _round_trip(rgb: RGBImage, codec: str, quality: int, chroma: str | None = None) -> RGBImage:
    coded = encode_as(np.ascontiguousarray(rgb), codec, quality, chroma)
    return np.asarray(Image.open(io.BytesIO(coded), formats=("JPEG", "WEBP")))


def check_quality(quality: int) -> None:
    """Refuse a quality outside 1 to 100.

    Raises:
        ValueError: If the quality is out of range.
    """
    if not 1 <= quality <= 100:
        msg = f"quality is from 1 to 100, got {quality}"
        raise ValueError(msg)


@dataclass(frozen=True)
class JPEG:
    """JPEG round trip.

    Attributes:
        quality: 1 to 100.
        times: Number of round trips, at least 1.
    """

    quality: int
    times: int = 1

    def __post_init__(self) -> None:
        check_quality(self.quality)

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        for _ in range(self.times):
            rgb = jpeg(rgb, self.quality)
        return rgb


@dataclass(frozen=True)
class RandomJPEG:
    """JPEG round trip at a random quality from a list, 1 to 100 each."""

    qualities: tuple[int, ...]

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        return jpeg(rgb, int(rng.choice(self.qualities)))


@dataclass(frozen=True)
class WebP:
    """Lossy WebP round trip; ``quality`` is 1 to 100."""

    quality: int

    def __post_init__(self) -> None:
        check_quality(self.quality)

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        return webp(rgb, self.quality)
