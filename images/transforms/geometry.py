"""Scaling and cropping of 8-bit images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from images.photo import Photo
from images.transforms.protocol import RGBImage

Resampling = Literal["nearest", "bilinear", "bicubic", "lanczos", "cv2_area", "cv2_cubic"]
"""Filters for scaling: Pillow's, with antialiasing, and OpenCV's, whose cubic one has none."""

Size = tuple[int, int]
"""Height and width, in pixels."""

Window = tuple[slice, slice]
"""Rows and columns of a part of an image."""

OPENCV = {"cv2_area": cv2.INTER_AREA, "cv2_cubic": cv2.INTER_CUBIC}


def resize(
    pixels: NDArray[np.uint8],
    height: int,
    width: int,
    resample: Resampling = "bicubic",
) -> NDArray[np.uint8]:
    """Scale an image to a size.

    Args:
        pixels: (H, W, 3) or (H, W) uint8.
        height: Of the result, in pixels; at least 1 is taken.
        width: Of the result, in pixels; at least 1 is taken.
        resample: The filter.

    Returns:
        (height, width, 3) or (height, width) uint8.
    """
    height, width = max(1, height), max(1, width)
    if resample in OPENCV:
        scaled = cv2.resize(pixels, (width, height), interpolation=OPENCV[resample])
        return np.asarray(scaled, dtype=np.uint8)
    pixels = np.ascontiguousarray(pixels)  # Pillow takes parts of arrays many times more slowly
    how = Image.Resampling[resample.upper()]
    return np.asarray(Image.fromarray(pixels).resize((width, height), how))


def scale_round_trip(
    rgb: RGBImage,
    height: int,
    width: int,
    down: Resampling = "bilinear",
    up: Resampling = "nearest",
) -> RGBImage:
    """Scale an image to a size and back to its own.

    Args:
        rgb: (H, W, 3) uint8.
        height: In between, in pixels.
        width: In between, in pixels.
        down: Filter of the way there.
        up: Filter of the way back.

    Returns:
        (H, W, 3) uint8.
    """
    return resize(resize(rgb, height, width, down), rgb.shape[0], rgb.shape[1], up)


def covering_size(size: Size, target: Size) -> Size:
    """Compute the smallest size of the same proportions that covers a target.

    Args:
        size: Height and width of the image, in pixels.
        target: Height and width to reach, in pixels.

    Returns:
        Height and width, neither below the target's; the longer side is rounded to the nearest.
    """
    scale = max(target[0] / size[0], target[1] / size[1])
    return max(target[0], round(size[0] * scale)), max(target[1], round(size[1] * scale))


def center_window(size: Size, target: Size, half_to_even: bool = False) -> Window:
    """Find the rows and columns in the middle of an image.

    Args:
        size: Height and width of the image, in pixels.
        target: Height and width of the window, in pixels; cut down to the image's.
        half_to_even: Round an offset of half a pixel to even, as torchvision does, instead of down.
    """
    windows = []
    for length, wanted in zip(size, target, strict=True):
        wanted = min(length, wanted)
        start = round((length - wanted) / 2) if half_to_even else (length - wanted) // 2
        windows.append(slice(start, start + wanted))
    return windows[0], windows[1]


def center_crop(rgb: RGBImage, height: int, width: int) -> RGBImage:
    """Cut the middle out of an (H, W, 3) uint8 image, at most ``height`` by ``width`` pixels."""
    return rgb[center_window((rgb.shape[0], rgb.shape[1]), (height, width))]


def cover_crop(
    rgb: RGBImage,
    height: int,
    width: int,
    resample: Resampling = "bicubic",
) -> RGBImage:
    """Scale an image until it covers a size, and cut out the middle.

    Args:
        rgb: (H, W, 3) uint8.
        height: Of the result, in pixels.
        width: Of the result, in pixels.
        resample: The filter.

    Returns:
        (height, width, 3) uint8.
    """
    covering = covering_size((rgb.shape[0], rgb.shape[1]), (height, width))
    return np.ascontiguousarray(center_crop(resize(rgb, *covering, resample), height, width))


def resize_center_crop(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Scale the shorter side, bilinearly, and cut out the middle square.

    Equal to the bit to RID's programs: to torchvision's ``Resize(side)`` and ``CenterCrop(side)`` on
    a Pillow image, which truncate the longer side and round half a pixel to even.

    Args:
        pixels: (H, W, 3) or (H, W) uint8.
        side: Of the square, in pixels.

    Returns:
        (side, side, 3) or (side, side) uint8.
    """
    height, width = pixels.shape[:2]
    shorter = min(height, width)
    size = int(side * height / shorter), int(side * width / shorter)
    window = center_window(size, (side, side), half_to_even=True)
    return np.ascontiguousarray(resize(pixels, *size, "bilinear")[window])


def center_crop_photo(photo: Photo, side: int) -> Photo:
    """Bring a photo and its transparency to the middle square, by :func:`resize_center_crop`."""
    alpha = None if photo.alpha is None else resize_center_crop(photo.alpha, side)
    return replace(photo, rgb=resize_center_crop(photo.rgb, side), alpha=alpha)


def random_window(size: Size, target: Size, rng: np.random.Generator) -> Window:
    """Draw the place of a window.

    Args:
        size: Height and width of the image, in pixels.
        target: Height and width of the window, none longer than the image's.
        rng: Draws the row, then the column.
    """
    top = int(rng.integers(size[0] - target[0] + 1))
    left = int(rng.integers(size[1] - target[1] + 1))
    return slice(top, top + target[0]), slice(left, left + target[1])


def random_resized_window(size: Size, min_area: float, rng: np.random.Generator) -> Window:
    """Draw a window with proportions of 3/4 to 4/3, as ``RandomResizedCrop`` does.

    Args:
        size: Height and width of the image, in pixels.
        min_area: Smallest share of its area, above 0 and at most 1.
        rng: Of up to ten tries; the middle square is taken where none fits.
    """
    height, width = size
    for _ in range(10):
        area = height * width * rng.uniform(min_area, 1)
        aspect = float(np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3))))
        tall, wide = round((area / aspect) ** 0.5), round((area * aspect) ** 0.5)
        if 0 < tall <= height and 0 < wide <= width:
            return random_window(size, (tall, wide), rng)
    side = min(height, width)
    return center_window(size, (side, side))


@dataclass(frozen=True)
class Resize:
    """Both sides times ``factor``, above 0, by one of the filters."""

    factor: float
    resample: Resampling = "bicubic"

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        height, width = rgb.shape[:2]
        return resize(rgb, round(height * self.factor), round(width * self.factor), self.resample)


@dataclass(frozen=True)
class ResizeArea:
    """Scaled bilinearly until ``area`` of the pixels is left, above 0."""

    area: float

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        return resize(rgb, *_sides(rgb, self.area), "bilinear")


@dataclass(frozen=True)
class LongestSide:
    """Scaled down until no side is longer than ``pixels``, at least 1."""

    pixels: int

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        height, width = rgb.shape[:2]
        factor = min(1.0, self.pixels / max(height, width))
        return rgb if factor == 1 else resize(rgb, round(height * factor), round(width * factor))


@dataclass(frozen=True)
class DownUp:
    """Scaled by ``factor``, above 0 and at most 1, and back to the old size, by OpenCV."""

    factor: float = 0.5

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        height, width = rgb.shape[:2]
        small = int(height * self.factor), int(width * self.factor)
        return scale_round_trip(rgb, *small, "cv2_area", "cv2_cubic")


@dataclass(frozen=True)
class RandomCrop:
    """A share of each side, above 0 and at most 1, from a random place."""

    share: float

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        height, width = rgb.shape[:2]
        target = max(1, round(height * self.share)), max(1, round(width * self.share))
        return rgb[random_window((height, width), target, rng)]


@dataclass(frozen=True)
class CenterCrop:
    """The middle, of the same proportions; ``area`` is the share kept, above 0 and at most 1."""

    area: float

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        size = rgb.shape[0], rgb.shape[1]
        return rgb[center_window(size, _sides(rgb, self.area), half_to_even=True)]


@dataclass(frozen=True)
class CenterSquare:
    """The middle square of at most ``side`` pixels, unscaled."""

    side: int

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        side = min(self.side, *rgb.shape[:2])
        return center_crop(rgb, side, side)


@dataclass(frozen=True)
class CenterCropResize:
    """The middle at the old size; ``share`` of each side is kept, above 0 and at most 1."""

    share: float = 0.8

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        height, width = rgb.shape[:2]
        top, left = round(height * (1 - self.share) / 2), round(width * (1 - self.share) / 2)
        middle = center_crop(rgb, height - 2 * top, width - 2 * left)
        return resize(middle, height, width, "cv2_cubic")


def _sides(rgb: RGBImage, area: float) -> Size:
    """Height and width of a share of an image's area, of the same proportions."""
    return max(1, int(rgb.shape[0] * area**0.5)), max(1, int(rgb.shape[1] * area**0.5))
