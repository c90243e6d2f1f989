"""Random chains of edits, as copies on the net have them (arXiv 2210.10620, appendix; the categories are AugLy's)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as vision

from images.transforms.corruptions import JPEG, Edit, Levels, resized
from images.transforms.drawing import ScreenshotFrame, Sticker, Text
from images.transforms.edits import Flip, Grayscale, on_image

LENGTHS = (0.1, 0.2, 0.3, 0.4)
"""How often a chain has one, two, three and four edits."""


@dataclass(frozen=True)
class RandomChain:
    """One to four edits, each of another category: colour, overlay, pixels, space. A crop comes first, a palette last.

    The chain and all its numbers come from the generator that it is called with.
    """

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        for name in self.draw(rng):
            rgb = PRIMITIVES[name](rgb, rng)
        return rgb

    def draw(self, rng: np.random.Generator) -> list[str]:
        """Names of the edits of one chain, in order."""
        count = 1 + int(rng.choice(len(LENGTHS), p=LENGTHS))
        categories = rng.choice(list(CATEGORIES), count, replace=False)
        names = [str(rng.choice(CATEGORIES[category])) for category in categories]
        return sorted(names, key=lambda name: {"crop": -1, "palette": 1}.get(name, 0))


def _enhanced(rgb: Levels, kind: Any, factor: float) -> Levels:
    return on_image(rgb, lambda image: kind(image).enhance(factor))


def brightness(rgb: Levels, rng: np.random.Generator) -> Levels:
    """Values times 0.1 to 1.9."""
    return _enhanced(rgb, ImageEnhance.Brightness, rng.uniform(0.1, 1.9))


def saturation(rgb: Levels, rng: np.random.Generator) -> Levels:
    """Colours two to five times as strong."""
    return _enhanced(rgb, ImageEnhance.Color, rng.uniform(2, 5))


def blur(rgb: Levels, rng: np.random.Generator) -> Levels:
    """A Gaussian of 5 to 10 pixels."""
    return on_image(rgb, lambda image: image.filter(ImageFilter.GaussianBlur(rng.uniform(5, 10))))


def palette(rgb: Levels, rng: np.random.Generator) -> Levels:
    """Two to sixteen colours."""
    return on_image(rgb, lambda image: image.quantize(int(rng.integers(2, 17))))


def coded(rgb: Levels, rng: np.random.Generator) -> Levels:
    """JPEG of quality 5 to 25."""
    return JPEG(int(rng.integers(5, 26)))(rgb, rng)


def sharpened(rgb: Levels, rng: np.random.Generator) -> Levels:
    """Edges enhanced."""
    return on_image(rgb, lambda image: image.filter(ImageFilter.EDGE_ENHANCE_MORE))


def pixelised(rgb: Levels, rng: np.random.Generator) -> Levels:
    """Scaled to 0.2 to 0.5 and back."""
    height, width = rgb.shape[:2]
    ratio = rng.uniform(0.2, 0.5)
    return resized(resized(rgb, round(height * ratio), round(width * ratio), "bilinear"), height, width, "nearest")


def shuffled(rgb: Levels, rng: np.random.Generator) -> Levels:
    """A tenth to three tenths of the pixels exchanged among themselves."""
    flat = rgb.reshape(-1, 3).copy()
    chosen = rng.choice(len(flat), max(2, int(len(flat) * rng.uniform(0.1, 0.3))), replace=False)
    flat[chosen] = flat[rng.permutation(chosen)]
    return flat.reshape(rgb.shape)


def crop(rgb: Levels, rng: np.random.Generator) -> Levels:
    """A box of 0.3 to 0.6 of each side, anywhere."""
    sides = [max(1, round(side * rng.uniform(0.3, 0.6))) for side in rgb.shape[:2]]
    top, left = (int(rng.integers(whole - side + 1)) for whole, side in zip(rgb.shape[:2], sides, strict=True))
    return rgb[top : top + sides[0], left : left + sides[1]]


def stretched(rgb: Levels, rng: np.random.Generator) -> Levels:
    """Proportions 0.5 to 2, of the same area."""
    height, width = rgb.shape[:2]
    ratio = rng.uniform(0.5, 2)
    area = height * width
    return resized(rgb, round((area / ratio) ** 0.5), round((area * ratio) ** 0.5), "bilinear")


def framed(rgb: Levels, rng: np.random.Generator) -> Levels:
    """On a page of a site."""
    return ScreenshotFrame("web" if rng.uniform() < 0.5 else "mobile", fill=True)(rgb, rng)


def padded(rgb: Levels, rng: np.random.Generator) -> Levels:
    """A square around it, of one colour."""
    height, width = rgb.shape[:2]
    side = max(height, width)
    canvas = np.broadcast_to(rng.integers(0, 256, 3).astype(np.uint8), (side, side, 3)).copy()
    top, left = (side - height) // 2, (side - width) // 2
    canvas[top : top + height, left : left + width] = rgb
    return canvas


def perspective(rgb: Levels, rng: np.random.Generator) -> Levels:
    """Seen from aside: corners drawn in by a normal of 30 to 60 pixels, never by more than a quarter of a side."""
    height, width = rgb.shape[:2]
    inward = np.abs(rng.normal(0, rng.uniform(30, 60), (4, 2))).clip(max=[width / 4, height / 4])
    corners = np.array([(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)], dtype=np.float64)
    start = corners + inward * [(1, 1), (-1, 1), (-1, -1), (1, -1)]
    points = [[round(value) for value in point] for point in start], [[int(value) for value in point] for point in corners]
    return on_image(rgb, lambda image: vision.perspective(image, *points, InterpolationMode.BILINEAR))


def turned(rgb: Levels, rng: np.random.Generator) -> Levels:
    """Turned by up to 90 degrees, cut to the largest upright box without a border."""
    degrees = rng.uniform(-90, 90)
    whole = vision.rotate(Image.fromarray(rgb), degrees, InterpolationMode.BILINEAR, expand=True)
    width, height = inscribed(rgb.shape[1], rgb.shape[0], np.deg2rad(degrees))
    return np.asarray(vision.center_crop(whole, [max(1, int(height)), max(1, int(width))]))


def inscribed(width: float, height: float, angle: float) -> tuple[float, float]:
    """Width and height of the largest upright box inside a box that was turned by an angle."""
    sine, cosine = abs(np.sin(angle)), abs(np.cos(angle))
    long, short = max(width, height), min(width, height)
    if short <= 2 * sine * cosine * long or abs(sine - cosine) < 1e-9:  # two of its corners touch the long sides
        half = short / 2
        return (half / sine, half / cosine) if width >= height else (half / cosine, half / sine)
    scale = cosine**2 - sine**2
    return (width * cosine - height * sine) / scale, (height * cosine - width * sine) / scale


PRIMITIVES: dict[str, Edit] = {
    "brightness": brightness,
    "grayscale": Grayscale(),
    "saturation": saturation,
    "sticker": Sticker(),
    "text": Text(),
    "blur": blur,
    "palette": palette,
    "jpeg": coded,
    "sharpened": sharpened,
    "pixelised": pixelised,
    "shuffled": shuffled,
    "crop": crop,
    "flip": Flip(),
    "stretched": stretched,
    "framed": framed,
    "padded": padded,
    "perspective": perspective,
    "turned": turned,
}

CATEGORIES = {
    "colour": ("brightness", "grayscale", "saturation"),
    "overlay": ("sticker", "text"),
    "pixels": ("blur", "palette", "jpeg", "sharpened", "pixelised", "shuffled"),
    "space": ("crop", "flip", "stretched", "framed", "padded", "perspective", "turned"),
}
