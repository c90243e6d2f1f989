"""Pictures of any size as the square windows a generator takes, and the windows' perturbations back as one.

Letters: S = the generator's side; H, W = the picture's height and width; n = windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from images.transforms.differentiable import resize

Fit = Literal["resize", "tile"]
"""``resize``: the picture is scaled until its shorter side is S; ``tile``: it is taken at its own size, if that is not below S."""

OVERLAP = 0.25
"""Share of a window that its neighbour covers, too, at least."""


@dataclass(frozen=True)
class Windows:
    """Where a picture's windows lie.

    Attributes:
        size: Height and width of the picture.
        scaled: Height and width after scaling, neither below ``side``.
        side: Side of a window.
        corners: Top and left of each window on the scaled picture.
    """

    size: tuple[int, int]
    scaled: tuple[int, int]
    side: int
    corners: list[tuple[int, int]]

    @classmethod
    def cover(cls, size: tuple[int, int], side: int, fit: Fit) -> Windows:
        """As few evenly spaced windows as cover a picture of this height and width."""
        shorter = min(size)
        factor = side / shorter if fit == "resize" or shorter < side else 1.0
        height, width = (max(side, round(length * factor)) for length in size)
        corners = [(top, left) for top in _starts(height, side) for left in _starts(width, side)]
        return cls(size, (height, width), side, corners)

    def cut(self, image: Tensor) -> Tensor:
        """(3, H, W) in [0, 1] to (n, 3, S, S)."""
        scaled = resize(image.unsqueeze(0), *self.scaled)[0].clamp(0, 1)
        return torch.stack([scaled[:, top : top + self.side, left : left + self.side] for top, left in self.corners])

    def merge(self, perturbations: Tensor) -> Tensor:
        """(n, 3, S, S) to (3, H, W): neighbours fade into one another, so no value exceeds the largest of theirs."""
        ramp = torch.arange(1, self.side + 1, dtype=torch.float32)
        fade = torch.minimum(ramp, ramp.flip(0))
        weight = fade.outer(fade)
        total, summed = torch.zeros(self.scaled), torch.zeros(3, *self.scaled)
        for perturbation, (top, left) in zip(perturbations.float().cpu(), self.corners, strict=True):
            place = (..., slice(top, top + self.side), slice(left, left + self.side))
            summed[place] += perturbation * weight
            total[place] += weight
        return resize((summed / total).unsqueeze(0), *self.size)[0]  # a weighted mean: bounds are kept


def _starts(length: int, side: int) -> list[int]:
    count = math.ceil((length - OVERLAP * side) / (side - OVERLAP * side))
    return torch.linspace(0, length - side, max(count, 1)).round().int().tolist()
