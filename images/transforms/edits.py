"""The single edits that copies are looked for under (arXiv 2210.10620, section 5.1), on 8-bit values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as vision

from images.transforms.corruptions import JPEG, Edit, Levels

Axis = Literal["horizontal", "vertical"]


def on_image(rgb: Levels, edit: Callable[[Image.Image], Image.Image]) -> Levels:
    """An edit of Pillow's or torchvision's, on an array."""
    return np.asarray(edit(Image.fromarray(rgb)).convert("RGB"))


@dataclass(frozen=True)
class Unchanged:
    """The picture itself."""

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        return rgb


@dataclass(frozen=True)
class Rotation:
    """Turned by degrees, on a black ground that is large enough for it."""

    degrees: float

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        return on_image(rgb, lambda image: vision.rotate(image, self.degrees, InterpolationMode.BILINEAR, expand=True))


@dataclass(frozen=True)
class CenterCrop:
    """The middle; ``area`` is the share of the picture that is left."""

    area: float

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        sides = [max(1, int(side * self.area**0.5)) for side in rgb.shape[:2]]
        return on_image(rgb, lambda image: vision.center_crop(image, sides))


@dataclass(frozen=True)
class Rescale:
    """Scaled, with antialiasing; ``area`` is the share of pixels that is left."""

    area: float

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        sides = [max(1, int(side * self.area**0.5)) for side in rgb.shape[:2]]
        return on_image(rgb, lambda image: vision.resize(image, sides))


@dataclass(frozen=True)
class GaussianBlur:
    """Blurred by a kernel of so many pixels, whose deviation is 0.15 of that and 0.35."""

    kernel: int

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        return on_image(rgb, lambda image: vision.gaussian_blur(image, [self.kernel, self.kernel]))


@dataclass(frozen=True)
class Hue:
    """All hues turned by a share of the circle, -0.5 to 0.5."""

    turn: float

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        return on_image(rgb, lambda image: vision.adjust_hue(image, self.turn))


@dataclass(frozen=True)
class Contrast:
    """Distances to the mean grey times a factor."""

    factor: float

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        return on_image(rgb, lambda image: vision.adjust_contrast(image, self.factor))


@dataclass(frozen=True)
class Brightness:
    """Values times a factor."""

    factor: float

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        return on_image(rgb, lambda image: vision.adjust_brightness(image, self.factor))


@dataclass(frozen=True)
class Grayscale:
    """Without colour."""

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        return on_image(rgb, lambda image: image.convert("L"))


@dataclass(frozen=True)
class Flip:
    """Mirrored."""

    axis: Axis = "horizontal"

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        return np.ascontiguousarray(rgb[:, ::-1] if self.axis == "horizontal" else rgb[::-1])


def sweep() -> dict[str, dict[str, Edit]]:
    """The paper's 104 edits in steps of strength, by kind and parameter."""
    tenths = [number / 10 for number in range(1, 11)]
    factors = [number / 10 for number in range(5, 20)]
    return {
        "rotation": {str(degrees): Rotation(degrees) for degrees in range(-90, 100, 10)},
        "center_crop": {str(area): CenterCrop(area) for area in tenths},
        "resize": {str(area): Rescale(area) for area in tenths},
        "blur": {str(kernel): GaussianBlur(kernel) for kernel in range(3, 31, 2)},
        "jpeg": {str(quality): JPEG(quality) for quality in range(10, 101, 10)},
        "contrast": {str(factor): Contrast(factor) for factor in factors},
        "brightness": {str(factor): Brightness(factor) for factor in factors},
        "hue": {str(number / 10): Hue(number / 10) for number in range(-5, 6)},
    }
