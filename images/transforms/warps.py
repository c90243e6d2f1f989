"""Rotation, flips, perspective and padding of 8-bit images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from images.transforms.protocol import RGBImage, on_pillow
from images.transforms.windows import center_window


def rotate(
    rgb: RGBImage,
    degrees: float,
    expand: bool = False,
    resample: Literal["nearest", "bilinear"] = "bilinear",
) -> RGBImage:
    """Rotate an image counterclockwise about its center, on black.

    Args:
        rgb: (H, W, 3) uint8.
        degrees: Angle of the rotation.
        expand: Enlarge the canvas to hold the whole image.
        resample: Filter.

    Returns:
        (H, W, 3) uint8, or larger if ``expand``.
    """
    pillow_filter = Image.Resampling[resample.upper()]
    return on_pillow(rgb, lambda image: image.rotate(degrees, pillow_filter, expand))


def rotate_inscribed(rgb: RGBImage, degrees: float) -> RGBImage:
    """Rotate an (H, W, 3) uint8 image and crop the black border."""
    rotated = rotate(rgb, degrees, expand=True)
    width, height = inscribed_box(rgb.shape[1], rgb.shape[0], np.deg2rad(degrees))
    target = max(1, int(height)), max(1, int(width))
    size = rotated.shape[0], rotated.shape[1]
    return rotated[center_window(size, target, half_to_even=True)]


def inscribed_box(width: float, height: float, angle: float) -> tuple[float, float]:
    """Compute the largest upright box inside a rotated box.

    Args:
        width: Width of the box before the rotation, in any unit.
        height: Height of the box before the rotation.
        angle: Angle of the rotation, in radians.

    Returns:
        Width and height.
    """
    sine = abs(np.sin(angle))
    cosine = abs(np.cos(angle))
    long = max(width, height)
    short = min(width, height)
    # Two of its corners touch the long sides.
    if short <= 2 * sine * cosine * long or abs(sine - cosine) < 1e-9:
        half = short / 2
        return (half / sine, half / cosine) if width >= height else (half / cosine, half / sine)
    scale = cosine**2 - sine**2
    return (width * cosine - height * sine) / scale, (height * cosine - width * sine) / scale


def perspective(rgb: RGBImage, inward: NDArray[np.float64]) -> RGBImage:
    """Warp a quadrilateral to the image's corners, as torchvision.

    Args:
        rgb: (H, W, 3) uint8.
        inward: (4, 2), horizontal and vertical distance in pixels from each corner of the image to
            the quadrilateral's, 0 to a quarter of the side; clockwise from the upper left.

    Returns:
        (H, W, 3) uint8; the unchanged image if it is so small that corners meet.
    """
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.functional import perspective as torchvision_perspective

    right = rgb.shape[1] - 1
    bottom = rgb.shape[0] - 1
    corners = np.array([(0, 0), (right, 0), (right, bottom), (0, bottom)])
    starts = (corners + inward * [(1, 1), (-1, 1), (-1, -1), (1, -1)]).round().astype(int)
    edges = np.roll(starts, -1, axis=0) - starts
    following = np.roll(edges, -1, axis=0)
    turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    if (turns <= 0).any():
        return rgb

    def warp(image: Image.Image) -> Image.Image:
        bilinear = InterpolationMode.BILINEAR
        return torchvision_perspective(image, starts.tolist(), corners.tolist(), bilinear)

    return on_pillow(rgb, warp)


def pad_to_square(rgb: RGBImage, color: NDArray[np.uint8]) -> RGBImage:
    """Pad an (H, W, 3) uint8 image to a square with a (3,) uint8 color."""
    side = max(rgb.shape[:2])
    canvas = np.broadcast_to(color, (side, side, 3)).copy()
    canvas[center_window((side, side), (rgb.shape[0], rgb.shape[1]))] = rgb
    return canvas


@dataclass(frozen=True)
class Rotation:
    """Counterclockwise rotation by ``degrees``, on an enlarged black canvas."""

    degrees: float

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        return rotate(rgb, self.degrees, expand=True)


@dataclass(frozen=True)
class Flip:
    """Mirror image; ``horizontal`` exchanges left and right."""

    axis: Literal["horizontal", "vertical"] = "horizontal"

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        return np.ascontiguousarray(rgb[:, ::-1] if self.axis == "horizontal" else rgb[::-1])
