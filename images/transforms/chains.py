"""Chains of edits, fixed and random.

Random chains are those of active indexing (arXiv 2210.10620, appendix), with AugLy's categories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from images.transforms.codecs import jpeg
from images.transforms.color import Grayscale, adjust_brightness, adjust_saturation, quantize
from images.transforms.filters import approximate_blur, enhance_edges, shuffle_pixels
from images.transforms.geometry import resize, scale_round_trip
from images.transforms.overlays import ScreenshotFrame, Sticker, Text
from images.transforms.protocol import Edit, RGBImage
from images.transforms.warps import Flip, pad_to_square, perspective, rotate_inscribed
from images.transforms.windows import random_window

LENGTH_PROBABILITIES = (0.1, 0.2, 0.3, 0.4)
"""Probabilities of a chain of one, two, three and four edits."""


@dataclass(frozen=True)
class Chain:
    """Fixed sequence of edits; the identity if empty."""

    edits: tuple[Edit, ...]

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        for edit in self.edits:
            rgb = edit(rgb, rng)
        return rgb


@dataclass(frozen=True)
class RandomChain:
    """Random sequence of one to four edits of different categories.

    Categories are color, overlay, pixels and space. A crop comes first, a palette last.
    """

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        for name in self.draw(rng):
            rgb = PRIMITIVES[name](rgb, rng)
        return rgb

    def draw(self, rng: np.random.Generator) -> list[str]:
        """Draw the names of a chain's edits, in order."""
        count = 1 + int(rng.choice(len(LENGTH_PROBABILITIES), p=LENGTH_PROBABILITIES))
        categories = rng.choice(list(CATEGORIES), count, replace=False)
        names = [str(rng.choice(CATEGORIES[category])) for category in categories]
        return sorted(names, key=lambda name: {"crop": -1, "palette": 1}.get(name, 0))


def random_brightness(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Multiply values by 0.1 to 1.9."""
    return adjust_brightness(rgb, rng.uniform(0.1, 1.9))


def random_saturation(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Multiply the saturation by 2 to 5."""
    return adjust_saturation(rgb, rng.uniform(2, 5))


def random_blur(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Blur by a Gaussian of 5 to 10 pixels."""
    return approximate_blur(rgb, rng.uniform(5, 10))


def random_palette(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Reduce to 2 to 16 colors."""
    return quantize(rgb, int(rng.integers(2, 17)))


def random_jpeg(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Compress as JPEG of quality 5 to 25."""
    return jpeg(rgb, int(rng.integers(5, 26)))


def sharpen(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Enhance the edges."""
    return enhance_edges(rgb)


def random_pixelization(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Scale to 0.2 to 0.5 of each side and back."""
    ratio = rng.uniform(0.2, 0.5)
    return scale_round_trip(rgb, round(rgb.shape[0] * ratio), round(rgb.shape[1] * ratio))


def random_shuffle(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Exchange a tenth to three tenths of the pixels."""
    return shuffle_pixels(rgb, rng.uniform(0.1, 0.3), rng)


def random_crop(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Cut out a box of 0.3 to 0.6 of each side, anywhere."""
    height, width = rgb.shape[:2]
    tall = max(1, round(height * rng.uniform(0.3, 0.6)))
    wide = max(1, round(width * rng.uniform(0.3, 0.6)))
    return rgb[random_window((height, width), (tall, wide), rng)]


def random_stretch(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Change the aspect ratio to 0.5 to 2, keeping the area."""
    area = rgb.shape[0] * rgb.shape[1]
    ratio = rng.uniform(0.5, 2)
    return resize(rgb, round((area / ratio) ** 0.5), round((area * ratio) ** 0.5), "bilinear")


def random_frame(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Show the image on a web or mobile page."""
    return ScreenshotFrame("web" if rng.uniform() < 0.5 else "mobile", fill=True)(rgb, rng)


def random_padding(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Pad to a square with a random color."""
    return pad_to_square(rgb, rng.integers(0, 256, 3).astype(np.uint8))


def random_perspective(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Move the corners inward at random, by at most a quarter of a side.

    Distances are normal, with a standard deviation of 30 to 60 pixels.
    """
    quarter = np.array([rgb.shape[1], rgb.shape[0]]) / 4
    return perspective(rgb, np.abs(rng.normal(0, rng.uniform(30, 60), (4, 2))).clip(max=quarter))


def random_rotation(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Rotate by up to 90 degrees and crop the black border."""
    return rotate_inscribed(rgb, rng.uniform(-90, 90))


PRIMITIVES: dict[str, Edit] = {
    "brightness": random_brightness,
    "grayscale": Grayscale(),
    "saturation": random_saturation,
    "sticker": Sticker(),
    "text": Text(),
    "blur": random_blur,
    "palette": random_palette,
    "jpeg": random_jpeg,
    "sharpened": sharpen,
    "pixelised": random_pixelization,
    "shuffled": random_shuffle,
    "crop": random_crop,
    "flip": Flip(),
    "stretched": random_stretch,
    "framed": random_frame,
    "padded": random_padding,
    "perspective": random_perspective,
    "turned": random_rotation,
}
"""Edits of random chains, by their names in the tables of ``eval retrieval``."""

CATEGORIES = {
    "color": ("brightness", "grayscale", "saturation"),
    "overlay": ("sticker", "text"),
    "pixels": ("blur", "palette", "jpeg", "sharpened", "pixelised", "shuffled"),
    "space": ("crop", "flip", "stretched", "framed", "padded", "perspective", "turned"),
}
"""Names of edits by category; a chain has at most one of each."""
