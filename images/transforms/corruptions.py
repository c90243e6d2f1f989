"""What happens to pictures on their way over the net, on 8-bit values: the same for real and generated ones."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from images.io import encode_as
from images.transforms.views import jpeg

Levels = NDArray[np.uint8]
Edit = Callable[[Levels, np.random.Generator], Levels]
"""From (H, W, 3) RGB to RGB; the generator is for what is random, and the same for equal pictures."""

Resampling = Literal["nearest", "bilinear", "bicubic", "lanczos"]


def resized(rgb: Levels, height: int, width: int, how: Resampling = "bicubic") -> Levels:
    """Another size, at least one pixel a side."""
    return np.asarray(Image.fromarray(rgb).resize((max(1, width), max(1, height)), Image.Resampling[how.upper()]))


@dataclass(frozen=True)
class JPEG:
    """Coded and decoded, so many times."""

    quality: int
    times: int = 1

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        for _ in range(self.times):
            rgb = jpeg(rgb, self.quality)
        return rgb


@dataclass(frozen=True)
class WebP:
    """Coded and decoded with loss."""

    quality: int

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        return np.asarray(Image.open(io.BytesIO(encode_as(rgb, "webp", self.quality))).convert("RGB"))


@dataclass(frozen=True)
class Blur:
    """A Gaussian; ``sigma`` in pixels."""

    sigma: float

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        return np.asarray(cv2.GaussianBlur(rgb, (0, 0), self.sigma, borderType=cv2.BORDER_REFLECT), dtype=np.uint8)


@dataclass(frozen=True)
class Noise:
    """Gaussian noise; ``sigma`` in grey levels."""

    sigma: float

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        return (rgb + rng.normal(0, self.sigma, rgb.shape)).round().clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Resize:
    """Both sides times ``factor``."""

    factor: float
    how: Resampling = "bicubic"

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        height, width = rgb.shape[:2]
        return resized(rgb, round(height * self.factor), round(width * self.factor), self.how)


@dataclass(frozen=True)
class LongestSide:
    """Scaled down until no side is longer than ``pixels``."""

    pixels: int

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        height, width = rgb.shape[:2]
        factor = min(1.0, self.pixels / max(height, width))
        return rgb if factor == 1 else resized(rgb, round(height * factor), round(width * factor))


@dataclass(frozen=True)
class Crop:
    """A part of each side, from a random place."""

    share: float

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        height, width = (max(1, round(side * self.share)) for side in rgb.shape[:2])
        top, left = int(rng.integers(rgb.shape[0] - height + 1)), int(rng.integers(rgb.shape[1] - width + 1))
        return rgb[top : top + height, left : left + width]


@dataclass(frozen=True)
class Gamma:
    """Values to a power; above 1 darkens."""

    gamma: float

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        table = (255 * (np.arange(256) / 255) ** self.gamma).round().astype(np.uint8)
        return table[rgb]


@dataclass(frozen=True)
class Screenshot:
    """Shown at another scale on a plain page, and photographed off the screen as JPEG."""

    factor: float = 0.8
    quality: int = 80

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        small = Resize(self.factor, "bilinear")(rgb, rng)
        border = max(1, round(0.06 * min(small.shape[:2])))
        page = np.full((small.shape[0] + 2 * border, small.shape[1] + 2 * border, 3), 245, dtype=np.uint8)
        page[border:-border, border:-border] = small
        return jpeg(page, self.quality)


@dataclass(frozen=True)
class MiddleSquare:
    """The middle square of at most ``side`` pixels, unscaled."""

    side: int

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        side = min(self.side, *rgb.shape[:2])
        top, left = ((length - side) // 2 for length in rgb.shape[:2])
        return rgb[top : top + side, left : left + side]


@dataclass(frozen=True)
class SampledJPEG:
    """Coded at one of some qualities."""

    qualities: tuple[int, ...]

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        return jpeg(rgb, int(rng.choice(self.qualities)))


@dataclass(frozen=True)
class Chain:
    """One after another."""

    edits: tuple[Edit, ...]

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        for edit in self.edits:
            rgb = edit(rgb, rng)
        return rgb


ROBUSTNESS: dict[str, dict[str, Edit]] = {
    "jpeg": {str(quality): JPEG(quality) for quality in (96, 90, 80, 70, 60, 50, 40, 30)},
    "webp": {str(quality): WebP(quality) for quality in (90, 70, 50, 30)},
    "blur": {str(sigma): Blur(sigma) for sigma in (0.5, 1.0, 1.5, 2.0, 3.0)},
    "noise": {str(sigma): Noise(sigma) for sigma in (2.0, 5.0, 10.0, 20.0)},
    "resize": {str(factor): Resize(factor) for factor in (1.5, 1.25, 0.75, 0.5, 0.25)},
    "crop": {str(share): Crop(share) for share in (0.9, 0.75, 0.5)},
    "gamma": {str(gamma): Gamma(gamma) for gamma in (0.7, 1.4)},
    "social": {
        "768 px, jpeg 60": Chain((LongestSide(768), JPEG(60))),
        "512 px, jpeg 40": Chain((LongestSide(512), JPEG(40))),
        "jpeg 75 twice": JPEG(75, times=2),
        "screenshot": Screenshot(),
    },
}
"""The sweep of detectors' tests: by kind, mild to strong."""
