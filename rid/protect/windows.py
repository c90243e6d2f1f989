"""Images of any size as the square windows a generator takes, and the windows' perturbations back as one.

Letters: S = the generator's side; H, W = the image's height and width; n = windows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from images.transforms.differentiable import resize

Fit = Literal["resize", "tile"]
"""``resize``: the image is scaled until its shorter side is S; ``tile``: it is taken at its own size, if that is not below S."""

OVERLAP = 0.25
"""Least share of a window that its neighbor covers, too."""

MAX_WINDOWS = 1 << 16
"""Most windows of an image; a 300-megapixel image in windows of 512 pixels has 2,200."""

MAX_ENLARGED = 1 << 26
"""Most pixels that an image is enlarged to."""


@dataclass(frozen=True)
class Windows:
    """Where an image's windows lie.

    Attributes:
        size: Height and width of the image.
        scaled: Height and width after scaling, neither below ``side``.
        side: Side of a window.
        tops: Top of each row of windows on the scaled image.
        lefts: Left of each column.
    """

    size: tuple[int, int]
    scaled: tuple[int, int]
    side: int
    tops: list[int]
    lefts: list[int]

    @classmethod
    def cover(cls, size: tuple[int, int], side: int, fit: Fit) -> Windows:
        """As few evenly spaced windows as cover an image.

        Args:
            size: Height and width of the image.
            side: Of a window.
            fit: See :data:`Fit`.

        Raises:
            ValueError: If it takes too many, as very long and thin images do.
        """
        shorter = min(size)
        factor = side / shorter if fit == "resize" or shorter < side else 1.0
        height, width = (max(side, round(length * factor)) for length in size)
        count = _count(height, side) * _count(width, side)
        if count > MAX_WINDOWS or (factor > 1 and height * width > MAX_ENLARGED):
            msg = (
                f"{size[1]} by {size[0]} pixels would take {count:,} windows of {side} pixels, too many: "
                "cut it into parts of more usual proportions"
            )
            raise ValueError(msg)
        return cls(size, (height, width), side, _starts(height, side), _starts(width, side))

    @property
    def corners(self) -> list[tuple[int, int]]:
        """Top and left of each window on the scaled image."""
        return [(top, left) for top in self.tops for left in self.lefts]

    def scale(self, image: Tensor) -> Tensor:
        """(3, H, W) in [0, 1] to (3, *scaled)."""
        return resize(image.unsqueeze(0), *self.scaled)[0].clamp(0, 1)

    def cut(self, scaled: Tensor) -> Iterator[Tensor]:
        """The windows of a scaled image, (3, S, S) each in [0, 1], one after another.

        Args:
            scaled: (3, *scaled), in [0, 1] or grey levels if uint8.
        """
        for top, left in self.corners:
            window = scaled[:, top : top + self.side, left : left + self.side]
            yield window.float() / 255 if window.dtype == torch.uint8 else window

    def enlarge(self, perturbation: Tensor) -> Tensor:
        """(3, *scaled) to (3, H, W)."""
        return resize(perturbation.unsqueeze(0), *self.size)[0]  # a weighted mean: bounds are kept


class Merger:
    """Windows' perturbations as one: neighbors fade into one another, so no value exceeds the largest of theirs."""

    def __init__(self, windows: Windows) -> None:
        ramp = torch.arange(1, windows.side + 1, dtype=torch.float32)
        fade = torch.minimum(ramp, ramp.flip(0))
        self.weight = fade.outer(fade)
        self.corners, self.side = iter(windows.corners), windows.side
        self.total, self.summed = torch.zeros(windows.scaled), torch.zeros(3, *windows.scaled)

    def add(self, perturbation: Tensor) -> None:
        """Add the next window's, (3, S, S)."""
        top, left = next(self.corners)
        place = (..., slice(top, top + self.side), slice(left, left + self.side))
        self.summed[place] += perturbation.float().cpu() * self.weight
        self.total[place] += self.weight

    def result(self) -> Tensor:
        """The perturbation of the scaled image, (3, *scaled)."""
        return self.summed.div_(self.total)


def _count(length: int, side: int) -> int:
    return max(1, math.ceil((length - OVERLAP * side) / (side - OVERLAP * side)))


def _starts(length: int, side: int) -> list[int]:
    return torch.linspace(0, length - side, _count(length, side)).round().int().tolist()
