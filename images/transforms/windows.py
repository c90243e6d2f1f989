"""Windows of an image: its center, or drawn."""

from __future__ import annotations

import numpy as np

Size = tuple[int, int]
"""Height and width, in pixels."""

Window = tuple[slice, slice]
"""Rows and columns of a part of an image."""


def center_window(size: Size, target: Size, half_to_even: bool = False) -> Window:
    """Compute the center window of an image.

    Args:
        size: Height and width of the image, in pixels.
        target: Height and width of the window, in pixels; limited to the image's.
        half_to_even: Round half-pixel offsets to even, as torchvision, instead of down.
    """
    windows = []
    for length, wanted in zip(size, target, strict=True):
        wanted = min(length, wanted)
        start = round((length - wanted) / 2) if half_to_even else (length - wanted) // 2
        windows.append(slice(start, start + wanted))
    return windows[0], windows[1]


def random_window(size: Size, target: Size, rng: np.random.Generator) -> Window:
    """Draw a random window of an image.

    Args:
        size: Height and width of the image, in pixels.
        target: Height and width of the window, none longer than the image's.
        rng: Generator of the first row, then the first column.
    """
    top = int(rng.integers(size[0] - target[0] + 1))
    left = int(rng.integers(size[1] - target[1] + 1))
    return slice(top, top + target[0]), slice(left, left + target[1])


def random_resized_window(size: Size, min_area: float, rng: np.random.Generator) -> Window:
    """Draw a window as torchvision's ``RandomResizedCrop``, aspect ratio 3/4 to 4/3.

    Args:
        size: Height and width of the image, in pixels.
        min_area: Smallest part of the area, above 0 and at most 1.
        rng: Generator of up to ten tries; the center square is the fallback.
    """
    height, width = size
    for _ in range(10):
        area = height * width * rng.uniform(min_area, 1)
        aspect = float(np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3))))
        tall = round((area / aspect) ** 0.5)
        wide = round((area * aspect) ** 0.5)
        if 0 < tall <= height and 0 < wide <= width:
            return random_window(size, (tall, wide), rng)
    side = min(height, width)
    return center_window(size, (side, side))
