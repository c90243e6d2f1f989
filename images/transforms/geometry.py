"""Resizing and cropping of 8-bit images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from images.photo import Photo
from images.transforms.protocol import RGBImage
from images.transforms.windows import Size, center_window, random_window

Resampling = Literal["nearest", "bilinear", "bicubic", "lanczos", "cv2_area", "cv2_cubic"]
"""Resampling filters of Pillow, with antialiasing, and OpenCV; its cubic one has none."""


MAX_ASPECT = 100
"""Longer side over the shorter side of the part of an image from which its center is taken."""

OPENCV = {"cv2_area": cv2.INTER_AREA, "cv2_cubic": cv2.INTER_CUBIC}


def resize(
    pixels: NDArray[np.uint8],
    height: int,
    width: int,
    resample: Resampling = "bicubic",
) -> NDArray[np.uint8]:
    """Resize an image.

    Args:
        pixels: (H, W, 3) or (H, W) uint8.
        height: Height of the result, in pixels; at least 1 is taken.
        width: Width of the result, in pixels; at least 1 is taken.
        resample: Filter.

    Returns:
        (height, width, 3) or (height, width) uint8.
    """
    height = max(1, height)
    width = max(1, width)
    if resample in OPENCV:
        scaled = cv2.resize(pixels, (width, height), interpolation=OPENCV[resample])
        return np.asarray(scaled, dtype=np.uint8)
    pixels = np.ascontiguousarray(pixels)  # Pillow is many times slower on views
    pillow_filter = Image.Resampling[resample.upper()]
    return np.asarray(Image.fromarray(pixels).resize((width, height), pillow_filter))


def scale_round_trip(
    rgb: RGBImage,
    height: int,
    width: int,
    down: Resampling = "bilinear",
    up: Resampling = "nearest",
) -> RGBImage:
    """Resize an image and restore its size.

    Args:
        rgb: (H, W, 3) uint8.
        height: Intermediate height, in pixels.
        width: Intermediate width, in pixels.
        down: Filter to the intermediate size.
        up: Filter back to the original size.

    Returns:
        (H, W, 3) uint8.
    """
    return resize(resize(rgb, height, width, down), rgb.shape[0], rgb.shape[1], up)


def covering_size(size: Size, target: Size) -> Size:
    """Compute the smallest size of the same aspect ratio that covers a target.

    Args:
        size: Height and width of the image, in pixels.
        target: Height and width to reach, in pixels.

    Returns:
        Height and width in pixels, each at least the target's.
    """
    scale = max(target[0] / size[0], target[1] / size[1])
    return max(target[0], round(size[0] * scale)), max(target[1], round(size[1] * scale))


def center_crop(rgb: RGBImage, height: int, width: int) -> RGBImage:
    """Crop the center of an (H, W, 3) uint8 image.

    Args:
        rgb: (H, W, 3) uint8.
        height: Largest height of the result, in pixels.
        width: Largest width of the result, in pixels.
    """
    return rgb[center_window((rgb.shape[0], rgb.shape[1]), (height, width))]


def limit_aspect(
    pixels: NDArray[np.uint8], target: Size = (1, 1), ratio: int = MAX_ASPECT
) -> NDArray[np.uint8]:
    """Crop the ends of a long strip whose center is to cover a target.

    Enlarging a strip of one pixel would fill the memory.

    Args:
        pixels: (H, W, 3) or (H, W) uint8.
        target: Height and width to cover; only their ratio counts.
        ratio: How many times as long as needed an image may be.

    Returns:
        The image, or its middle part.
    """
    size = pixels.shape[:2]
    tight = 0 if size[0] * target[1] <= size[1] * target[0] else 1
    height, width = (max(1, ratio * side * size[tight] // target[tight]) for side in target)
    return center_crop(pixels, height, width)


def cover_crop(
    rgb: RGBImage,
    height: int,
    width: int,
    resample: Resampling = "bicubic",
) -> RGBImage:
    """Resize an image to cover a size, and crop the center.

    Args:
        rgb: (H, W, 3) uint8.
        height: Height of the result, in pixels.
        width: Width of the result, in pixels.
        resample: Filter.

    Returns:
        (height, width, 3) uint8.
    """
    rgb = limit_aspect(rgb, (height, width))
    covering = covering_size((rgb.shape[0], rgb.shape[1]), (height, width))
    return np.ascontiguousarray(center_crop(resize(rgb, *covering, resample), height, width))


def resize_center_crop(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Resize the shorter side, bilinearly, and crop the center square.

    Equal to the bit to RID's code: torchvision's ``Resize(side)`` and ``CenterCrop(side)`` on a
    Pillow image, which truncate the longer side and round half pixels to even. Of images longer
    than :data:`MAX_ASPECT` times their width, the middle part is taken.

    Args:
        pixels: (H, W, 3) or (H, W) uint8.
        side: Side of the square, in pixels.

    Returns:
        (side, side, 3) or (side, side) uint8.
    """
    pixels = limit_aspect(pixels)
    height, width = pixels.shape[:2]
    shorter = min(height, width)
    size = int(side * height / shorter), int(side * width / shorter)
    window = center_window(size, (side, side), half_to_even=True)
    return resize(pixels, *size, "bilinear")[window].copy()


def center_crop_photo(photo: Photo, side: int) -> Photo:
    """Apply :func:`resize_center_crop` to a photo and its alpha channel."""
    alpha = None if photo.alpha is None else resize_center_crop(photo.alpha, side)
    return replace(photo, rgb=resize_center_crop(photo.rgb, side), alpha=alpha)


@dataclass(frozen=True)
class Resize:
    """Resizing of both sides by ``factor``, above 0."""

    factor: float
    resample: Resampling = "bicubic"

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        height, width = rgb.shape[:2]
        return resize(rgb, round(height * self.factor), round(width * self.factor), self.resample)


@dataclass(frozen=True)
class ResizeArea:
    """Bilinear resizing to a part ``area`` of the pixels, above 0."""

    area: float

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        return resize(rgb, *_sides(rgb, self.area), "bilinear")


@dataclass(frozen=True)
class LongestSide:
    """Downscaling until no side is longer than ``pixels``, at least 1."""

    pixels: int

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        height, width = rgb.shape[:2]
        factor = min(1.0, self.pixels / max(height, width))
        return rgb if factor == 1 else resize(rgb, round(height * factor), round(width * factor))


@dataclass(frozen=True)
class DownUp:
    """Downscaling by ``factor``, 0 to 1, and restoring the size, with OpenCV."""

    factor: float = 0.5

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        height, width = rgb.shape[:2]
        small = int(height * self.factor), int(width * self.factor)
        return scale_round_trip(rgb, *small, "cv2_area", "cv2_cubic")


@dataclass(frozen=True)
class RandomCrop:
    """Random crop that keeps a part ``share`` of each side, 0 to 1."""

    share: float

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        height, width = rgb.shape[:2]
        target = max(1, round(height * self.share)), max(1, round(width * self.share))
        return rgb[random_window((height, width), target, rng)]


@dataclass(frozen=True)
class CenterCrop:
    """Center crop that keeps a part ``area`` of the pixels, 0 to 1."""

    area: float

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        size = rgb.shape[0], rgb.shape[1]
        return rgb[center_window(size, _sides(rgb, self.area), half_to_even=True)]


@dataclass(frozen=True)
class CenterSquare:
    """Center square of at most ``side`` pixels, not resized."""

    side: int

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        side = min(self.side, *rgb.shape[:2])
        return center_crop(rgb, side, side)


@dataclass(frozen=True)
class CenterCropResize:
    """Center crop of a part ``share`` of each side, resized to the original size."""

    share: float = 0.8

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        height, width = rgb.shape[:2]
        top = round(height * (1 - self.share) / 2)
        left = round(width * (1 - self.share) / 2)
        middle = center_crop(rgb, height - 2 * top, width - 2 * left)
        return resize(middle, height, width, "cv2_cubic")


def _sides(rgb: RGBImage, area: float) -> Size:
    """Compute the size with a part of an image's area and its aspect ratio."""
    return max(1, int(rgb.shape[0] * area**0.5)), max(1, int(rgb.shape[1] * area**0.5))
