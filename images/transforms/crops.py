"""Several squares of one image, of a view's side and at its scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from images.transforms.protocol import RGBImage
from images.transforms.views import BlurJPEG, Rows, View, to_tensor
from images.transforms.windows import Size

if TYPE_CHECKING:
    from torch import Tensor

Corner = tuple[int, int]
"""First row and first column of a square."""


@dataclass(frozen=True)
class Crops:
    """Squares of an image that a view crops only once.

    Attributes:
        view: View that gives side and scale. If it is random, the borders are cut by up to half a
            square.
        layout: ``five``: corners and center. ``tiles``: squares that cover the image, which
            overlap only where its sides are no multiples of theirs.
    """

    view: View
    layout: Literal["five", "tiles"]

    @property
    def size(self) -> int:
        """Side of the squares, in pixels."""
        return self.view.size

    def factor(self, size: Size) -> float:
        """Compute the factor by which an image is scaled; see :meth:`View.factor`."""
        return self.view.factor(size)

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> Tensor:
        """Preprocess an image.

        Args:
            rgb: (H, W, 3) uint8.
            rng: Generator of random choices.

        Returns:
            (K, 3, size, size) float32 in [0, 1].
        """
        return to_tensor(self.read(rgb.shape[:2], lambda rows: rgb[:rows], rng))

    def read(self, size: Size, rows: Rows, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Preprocess an image, which is decoded whole.

        Args:
            size: Height and width of the image, in pixels.
            rows: Decoder of the upper rows.
            rng: Generator of random choices.

        Returns:
            (K, size, size, 3) uint8.
        """
        whole = BlurJPEG.draw(self.view, rng)(self.view.scaled(rows(size[0])))
        side = self.size
        if self.view.random:
            room = [min(side // 2, length - side) for length in whole.shape[:2]]
            top, left = (int(rng.integers(most + 1)) for most in room)
            whole = whole[top:, left:]
        height, width = whole.shape[:2]
        corners = five(height, width, side)
        if self.layout == "tiles":
            corners = covering(height, width, side, side)
        return np.stack([whole[top : top + side, left : left + side] for top, left in corners])


def five(height: int, width: int, side: int) -> list[Corner]:
    """Place five squares in an image: corners and center.

    Args:
        height: Height of the image, in pixels, at least ``side``.
        width: Width of the image, in pixels, at least ``side``.
        side: Side of the squares, in pixels.
    """
    bottom, right = height - side, width - side
    return [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]


def covering(height: int, width: int, side: int, stride: int) -> list[Corner]:
    """Place squares that cover an image, evenly from border to border.

    Args:
        height: Height of the image, in pixels, at least ``side``.
        width: Width of the image, in pixels, at least ``side``.
        side: Side of the squares, in pixels.
        stride: Largest distance of neighbors, in pixels, 1 to ``side``.
    """
    tops, lefts = (_starts(length - side, stride) for length in (height, width))
    return [(top, left) for top in tops for left in lefts]


def _starts(room: int, stride: int) -> list[int]:
    """Spread starts from 0 to ``room``, at most ``stride`` apart."""
    return np.linspace(0, room, -(-room // stride) + 1).round().astype(int).tolist()
