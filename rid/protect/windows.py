"""Tiling of images into windows, and blending of perturbations.

Letters: S = the generator's side; H, W = the image's height and width; n = windows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch
from torch import Tensor

from images.transforms.differentiable import resize

ResizeMode = Literal["resize", "faces", "tile"]
"""Handling of images of other sizes than S.

``resize``: scale the image until its shorter side is S.
``faces``: the same, and once more for the area around each face, see :mod:`rid.protect.layout`.
``tile``: keep the image's size, unless its shorter side is below S.
"""

OVERLAP = 0.25
"""Minimum overlap of neighboring windows, as a fraction of S."""

MAX_WINDOWS = 1 << 16
"""Most windows per image; a 300-megapixel image has 2,200 windows of 512 pixels."""

MAX_UPSCALED_PIXELS = 1 << 26
"""Most pixels of an upscaled image."""


@dataclass(frozen=True)
class Windows:
    """Layout of an image's windows.

    Attributes:
        size: Height and width of the image.
        scaled: Height and width after scaling, neither below ``side``.
        side: Side of a window.
        tops: Top of each row of windows on the scaled image, in pixels.
        lefts: Left of each column of windows, in pixels.
    """

    size: tuple[int, int]
    scaled: tuple[int, int]
    side: int
    tops: list[int]
    lefts: list[int]

    @classmethod
    def cover(cls, size: tuple[int, int], side: int, resize_mode: ResizeMode) -> Windows:
        """Cover an image with the fewest evenly spaced windows.

        Args:
            size: Height and width of the image in pixels.
            side: Side of a window in pixels.
            resize_mode: See :data:`ResizeMode`.

        Raises:
            ValueError: If the image needs too many windows, as very elongated images do.
        """
        # size of the scaled image
        shorter = min(size)
        factor = side / shorter if resize_mode != "tile" or shorter < side else 1.0
        height, width = (max(side, round(length * factor)) for length in size)
        # number of windows
        count = _count(height, side) * _count(width, side)
        if count > MAX_WINDOWS or (factor > 1 and height * width > MAX_UPSCALED_PIXELS):
            msg = (
                f"{size[1]} by {size[0]} pixels would take {count:,} windows of {side} pixels, "
                "too many: cut the image into less elongated parts"
            )
            raise ValueError(msg)
        return cls(size, (height, width), side, _starts(height, side), _starts(width, side))

    @property
    def corners(self) -> list[tuple[int, int]]:
        """Top and left of each window on the scaled image."""
        return list(product(self.tops, self.lefts))

    def scale(self, image: Tensor) -> Tensor:
        """Scale an image in [0, 1], (3, H, W) to (3, *scaled)."""
        return resize(image.unsqueeze(0), *self.scaled)[0].clamp(0, 1)

    def cut(self, scaled: Tensor) -> Iterator[Tensor]:
        """Yield the windows, (3, S, S) float in [0, 1].

        Args:
            scaled: (3, *scaled), float in [0, 1] or uint8 in [0, 255].
        """
        for top, left in self.corners:
            window = scaled[:, top : top + self.side, left : left + self.side]
            yield unit_range(window)

    def enlarge(self, perturbation: Tensor) -> Tensor:
        """Resize a perturbation, (3, *scaled) to (3, H, W).

        Interpolation averages, so the bound holds.
        """
        return resize(perturbation.unsqueeze(0), *self.size)[0]


class Merger:
    """Blend of the windows' perturbations.

    Overlapping windows are averaged with weights that fall towards the windows' borders, so no
    value exceeds the largest of the windows'.

    Args:
        windows: Layout of the windows.
    """

    def __init__(self, windows: Windows) -> None:
        ramp = torch.arange(1, windows.side + 1, dtype=torch.float32)
        profile = torch.minimum(ramp, ramp.flip(0))
        self.weight = profile.outer(profile)
        self.corners = iter(windows.corners)
        self.side = windows.side
        self.weight_sum = torch.zeros(windows.scaled)
        self.weighted_sum = torch.zeros(3, *windows.scaled)

    def add(self, perturbation: Tensor) -> None:
        """Add the perturbation of the next window, (3, S, S)."""
        top, left = next(self.corners)
        region = (..., slice(top, top + self.side), slice(left, left + self.side))
        self.weighted_sum[region] += perturbation.float().cpu() * self.weight
        self.weight_sum[region] += self.weight

    def result(self) -> Tensor:
        """Return the perturbation of the scaled image, (3, *scaled)."""
        return self.weighted_sum.div_(self.weight_sum)


def unit_range(image: Tensor) -> Tensor:
    """Convert uint8 values to floats in [0, 1]; floats are kept as they are."""
    # in place: photos are large, and a second copy would double the memory
    return image.float().div_(255) if image.dtype == torch.uint8 else image


def _count(length: int, side: int) -> int:
    return max(1, math.ceil((length - OVERLAP * side) / (side - OVERLAP * side)))


def _starts(length: int, side: int) -> list[int]:
    starts = torch.linspace(0, length - side, _count(length, side))
    return starts.round().int().tolist()
