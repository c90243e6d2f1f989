"""Random histories: what happens to an image file between its maker and its reader.

A file is scaled down, compressed, cropped and compressed again, in an order that nobody knows.
Detectors that are trained on single edits fail on their combinations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from images.transforms.codecs import jpeg, webp
from images.transforms.filters import Noise, gaussian_blur
from images.transforms.geometry import resize
from images.transforms.protocol import Edit, RGBImage
from images.transforms.windows import random_window

LEAST_SIDE = 16
"""Shortest side after scaling down or cropping, in pixels; smaller images keep their size."""

FILTERS = ("bilinear", "bicubic", "lanczos", "cv2_area")
"""Filters of scaling down."""

CHROMAS = ("4:2:0", "4:2:0", "4:4:4")
"""Chroma subsampling of JPEG; most files have the first."""


@dataclass(frozen=True)
class RandomHistory:
    """Random sequence of edits in random order; compression may happen twice.

    Edits are scaling down, blur, noise, crop, and JPEG or WebP. All choices are the generator's.

    Attributes:
        share: Part of the images with a history, 0 to 1; the others stay as they are.
        longest: Most edits of a history, 1 to 6; the number is uniform from 1.
        least_scale: Smallest factor of scaling down, above 0 and at most 1.
        blur: Largest sigma of the blur in pixels, at least 0.
        noise: Largest sigma of the noise in gray levels, at least 0.
        quality: Lowest and highest quality of JPEG and WebP, 1 to 100.

    Raises:
        ValueError: If a value is out of range.
    """

    share: float = 1.0
    longest: int = 4
    least_scale: float = 0.4
    blur: float = 1.5
    noise: float = 4.0
    quality: tuple[int, int] = (30, 95)

    def __post_init__(self) -> None:
        checks = {
            "share, 0 to 1": 0 <= self.share <= 1,
            f"longest, 1 to {len(KINDS)}": 1 <= self.longest <= len(KINDS),
            "least_scale, above 0 and at most 1": 0 < self.least_scale <= 1,
            "blur, at least 0": self.blur >= 0,
            "noise, at least 0": self.noise >= 0,
            "quality, a range within 1 to 100": 1 <= self.quality[0] <= self.quality[1] <= 100,
        }
        for rule, kept in checks.items():
            if not kept:
                msg = f"a history's {rule}; got {getattr(self, rule.partition(',')[0])}"
                raise ValueError(msg)

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        if rng.random() >= self.share:
            return rgb
        for kind in self.draw(rng):
            rgb = self._edit(kind)(rgb, rng)
        return rgb

    def draw(self, rng: np.random.Generator) -> list[str]:
        """Draw the kinds of a history's edits, in order."""
        count = int(rng.integers(1, self.longest + 1))
        return [str(kind) for kind in rng.permutation(KINDS)[:count]]

    def _edit(self, kind: str) -> Edit:
        """Return the edit of a kind."""
        edits: dict[str, Edit] = {
            "downscale": self._downscale,
            "blur": self._blur,
            "noise": self._noise,
            "crop": random_part,
            "compress": self._compress,
        }
        return edits[kind]

    def _downscale(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        """Scale down with a random filter."""
        least = max(self.least_scale, min(1.0, LEAST_SIDE / min(rgb.shape[:2])))
        factor = rng.uniform(least, 1)
        height, width = round(rgb.shape[0] * factor), round(rgb.shape[1] * factor)
        return resize(rgb, height, width, FILTERS[rng.integers(len(FILTERS))])  # type: ignore[arg-type]

    def _blur(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        """Blur by a random Gaussian."""
        sigma = rng.uniform(0, self.blur)
        return gaussian_blur(rgb, sigma) if sigma else rgb

    def _noise(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        """Add Gaussian noise."""
        return Noise(rng.uniform(0, self.noise))(rgb, rng)

    def _compress(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        """Compress as JPEG, or as WebP for one in four."""
        quality = int(rng.integers(self.quality[0], self.quality[1] + 1))
        if rng.random() < 0.25:
            return webp(rgb, quality)
        return jpeg(rgb, quality, CHROMAS[rng.integers(len(CHROMAS))])  # type: ignore[arg-type]


KINDS = ("downscale", "blur", "noise", "crop", "compress", "compress")
"""Kinds of edits; a history has each at most as often as it is listed."""


def random_part(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Cut out a part of six tenths to all of each side, anywhere."""
    size = (rgb.shape[0], rgb.shape[1])
    tall, wide = (max(min(side, LEAST_SIDE), round(side * rng.uniform(0.6, 1))) for side in size)
    return np.ascontiguousarray(rgb[random_window(size, (tall, wide), rng)])
