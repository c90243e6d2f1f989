"""Turning, mirroring and slanting of 8-bit images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from images.transforms.geometry import center_window
from images.transforms.protocol import RGBImage, on_pillow


def rotate(
    rgb: RGBImage,
    degrees: float,
    expand: bool = False,
    resample: Literal["nearest", "bilinear"] = "bilinear",
) -> RGBImage:
    """Turn an image counterclockwise about its middle, on a black ground.

    Args:
        rgb: (H, W, 3) uint8.
        degrees: Any angle.
        expand: Enlarge the ground until it holds the whole image.
        resample: The filter.

    Returns:
        (H, W, 3) uint8, or larger if ``expand``.
    """
    how = Image.Resampling[resample.upper()]
    return on_pillow(rgb, lambda image: image.rotate(degrees, how, expand))


def rotate_inscribed(rgb: RGBImage, degrees: float) -> RGBImage:
    """Turn an (H, W, 3) uint8 image by degrees and cut off the border."""
    turned = rotate(rgb, degrees, expand=True)
    width, height = inscribed_box(rgb.shape[1], rgb.shape[0], np.deg2rad(degrees))
    target = max(1, int(height)), max(1, int(width))
    return turned[center_window((turned.shape[0], turned.shape[1]), target, half_to_even=True)]


def inscribed_box(width: float, height: float, angle: float) -> tuple[float, float]:
    """Compute the largest upright box inside a box that was turned.

    Args:
        width: Of the box before, any unit.
        height: Of the box before.
        angle: Of the turn, in radians.

    Returns:
        Width and height.
    """
    sine, cosine = abs(np.sin(angle)), abs(np.cos(angle))
    long, short = max(width, height), min(width, height)
    # Two of its corners touch the long sides.
    if short <= 2 * sine * cosine * long or abs(sine - cosine) < 1e-9:
        half = short / 2
        return (half / sine, half / cosine) if width >= height else (half / cosine, half / sine)
    scale = cosine**2 - sine**2
    return (width * cosine - height * sine) / scale, (height * cosine - width * sine) / scale


def perspective(rgb: RGBImage, inward: NDArray[np.float64]) -> RGBImage:
    """Stretch a quadrilateral inside an image to the image's corners, as torchvision does.

    Args:
        rgb: (H, W, 3) uint8.
        inward: (4, 2), pixels across and down from each corner of the image to the quadrilateral's,
            at least 0 and at most a quarter of the side; clockwise from the upper left.

    Returns:
        (H, W, 3) uint8; the image itself where it is so small that corners meet.
    """
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.functional import perspective as slant

    right, bottom = rgb.shape[1] - 1, rgb.shape[0] - 1
    corners = np.array([(0, 0), (right, 0), (right, bottom), (0, bottom)])
    starts = (corners + inward * [(1, 1), (-1, 1), (-1, -1), (1, -1)]).round().astype(int)
    edges = np.roll(starts, -1, axis=0) - starts
    following = np.roll(edges, -1, axis=0)
    turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    if (turns <= 0).any():
        return rgb

    def slanted(image: Image.Image) -> Image.Image:
        return slant(image, starts.tolist(), corners.tolist(), InterpolationMode.BILINEAR)

    return on_pillow(rgb, slanted)


def pad_to_square(rgb: RGBImage, color: NDArray[np.uint8]) -> RGBImage:
    """Center an (H, W, 3) uint8 image on a square of one color, (3,) uint8."""
    side = max(rgb.shape[:2])
    canvas = np.broadcast_to(color, (side, side, 3)).copy()
    canvas[center_window((side, side), (rgb.shape[0], rgb.shape[1]))] = rgb
    return canvas


@dataclass(frozen=True)
class Rotation:
    """Turned counterclockwise by ``degrees``, on a black ground that holds it whole."""

    degrees: float

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        return rotate(rgb, self.degrees, expand=True)


@dataclass(frozen=True)
class Flip:
    """Mirrored: ``horizontal`` exchanges left and right, ``vertical`` above and below."""

    axis: Literal["horizontal", "vertical"] = "horizontal"

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        return np.ascontiguousarray(rgb[:, ::-1] if self.axis == "horizontal" else rgb[::-1])
