"""Size and place of pixels: scaling, cropping, turning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from images.io import Photo


def covering_size(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    """Compute the smallest size of the same proportions that covers a target.

    Args:
        size: Height and width of the image, in pixels.
        target: Height and width to reach, in pixels.

    Returns:
        Height and width, neither below the target's; the longer side is rounded to the nearest.
    """
    scale = max(target[0] / size[0], target[1] / size[1])
    return max(target[0], round(size[0] * scale)), max(target[1], round(size[1] * scale))


def center_window(size: tuple[int, int], target: tuple[int, int]) -> tuple[slice, slice]:
    """Find the rows and columns in the middle; an odd remainder leaves its extra pixel below and right.

    Args:
        size: Height and width of the image, in pixels.
        target: Height and width of the window, in pixels; cut down to the image's.
    """
    height, width = min(size[0], target[0]), min(size[1], target[1])
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return slice(top, top + height), slice(left, left + width)


def resize_center_crop(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Scale the shorter side, bilinearly, and cut out the middle square, to the bit as RID's programs do.

    Equal to torchvision's ``Resize(side)`` and ``CenterCrop(side)`` on a Pillow image, which truncate the longer side
    and round half a pixel to even.

    Args:
        pixels: (H, W, 3) or (H, W) uint8.
        side: Of the square, in pixels.

    Returns:
        (side, side, 3) or (side, side) uint8.
    """
    height, width = pixels.shape[:2]
    shorter = min(height, width)
    height, width = int(side * height / shorter), int(side * width / shorter)
    top, left = round((height - side) / 2), round((width - side) / 2)
    scaled = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(scaled.crop((left, top, left + side, top + side)))


def center_crop_photo(photo: Photo, side: int) -> Photo:
    """Bring a photo and its transparency to the middle square, by :func:`resize_center_crop`."""
    alpha = None if photo.alpha is None else resize_center_crop(photo.alpha, side)
    return replace(photo, rgb=resize_center_crop(photo.rgb, side), alpha=alpha)
