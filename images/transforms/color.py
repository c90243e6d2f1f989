"""Color and brightness of 8-bit images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance

from images.transforms.protocol import RGBImage, on_pillow


def adjust_brightness(rgb: RGBImage, factor: float) -> RGBImage:
    """Multiply the values of an (H, W, 3) uint8 image; factor at least 0."""
    return on_pillow(rgb, lambda image: ImageEnhance.Brightness(image).enhance(factor))


def adjust_contrast(rgb: RGBImage, factor: float) -> RGBImage:
    """Multiply the contrast of an (H, W, 3) uint8 image; factor at least 0."""
    return on_pillow(rgb, lambda image: ImageEnhance.Contrast(image).enhance(factor))


def adjust_saturation(rgb: RGBImage, factor: float) -> RGBImage:
    """Multiply the saturation of an (H, W, 3) uint8 image; factor at least 0."""
    return on_pillow(rgb, lambda image: ImageEnhance.Color(image).enhance(factor))


def adjust_hue(rgb: RGBImage, turn: float) -> RGBImage:
    """Rotate the hues of an (H, W, 3) uint8 image.

    ``turn`` is a share of the color circle, -0.5 to 0.5.
    """
    from torchvision.transforms.functional import adjust_hue as torchvision_hue

    return on_pillow(rgb, lambda image: torchvision_hue(image, turn))


def jitter(rgb: RGBImage, strength: float, rng: np.random.Generator) -> RGBImage:
    """Jitter brightness, contrast and saturation, as torchvision's ``ColorJitter``.

    Args:
        rgb: (H, W, 3) uint8.
        strength: Each factor is drawn from 1 - strength to 1 + strength; 0 to 1.
        rng: Draws the order and the factors.

    Returns:
        (H, W, 3) uint8.
    """
    changes = (adjust_brightness, adjust_contrast, adjust_saturation)
    for number in rng.permutation(len(changes)):
        rgb = changes[number](rgb, rng.uniform(1 - strength, 1 + strength))
    return rgb


def quantize(rgb: RGBImage, colors: int) -> RGBImage:
    """Reduce an (H, W, 3) uint8 image to 1 to 256 colors by median cut."""
    return on_pillow(rgb, lambda image: image.quantize(colors))


@dataclass(frozen=True)
class Brightness:
    """Brightness multiplied by ``factor``, at least 0."""

    factor: float

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        return adjust_brightness(rgb, self.factor)


@dataclass(frozen=True)
class Contrast:
    """Contrast multiplied by ``factor``, at least 0."""

    factor: float

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        return adjust_contrast(rgb, self.factor)


@dataclass(frozen=True)
class Hue:
    """Hue rotation by a share of the color circle, -0.5 to 0.5."""

    turn: float

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        return adjust_hue(rgb, self.turn)


@dataclass(frozen=True)
class Grayscale:
    """Luminance in all three channels."""

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        return np.asarray(Image.fromarray(rgb).convert("L").convert("RGB"))


@dataclass(frozen=True)
class Gamma:
    """Gamma curve: values to the power of ``gamma``, above 0."""

    gamma: float

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        table = 255 * (np.arange(256) / 255) ** self.gamma
        return table.round().astype(np.uint8)[rgb]
