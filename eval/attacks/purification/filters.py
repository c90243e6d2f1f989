"""Purification by filters that keep edges."""

from __future__ import annotations

import torch
from torch import Tensor

from images.transforms.purifier import Purifier


class Bilateral(Purifier):
    """Bilateral filter: averages near pixels of similar color.

    Args:
        radius: Reach of the filter in pixels, at least 1.
        color: Standard deviation of the colors' weights, in [0, 1] units, above 0.
        space: Standard deviation of the distances' weights, in pixels, above 0.

    Raises:
        ValueError: If a value is out of range.
    """

    def __init__(self, radius: int = 3, color: float = 0.1, space: float = 1.5) -> None:
        if radius < 1 or color <= 0 or space <= 0:
            msg = (
                "radius must be at least 1, color and space above 0, got "
                f"{radius}, {color} and {space}"
            )
            raise ValueError(msg)
        self.radius, self.color, self.space = radius, color, space

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        from kornia.filters import bilateral_blur

        side = _window(self.radius, images)
        filtered: Tensor = bilateral_blur(images, side, self.color, (self.space, self.space))
        return filtered.clamp(0, 1)


class Guided(Purifier):
    """Guided filter (He et al., 2010), with the image as its own guide.

    Args:
        radius: Reach of the filter in pixels, at least 1.
        eps: Variance that counts as an edge, in squared [0, 1] units, above 0.

    Raises:
        ValueError: If a value is out of range.
    """

    def __init__(self, radius: int = 3, eps: float = 1e-3) -> None:
        if radius < 1 or eps <= 0:
            msg = f"radius must be at least 1 and eps above 0, got {radius} and {eps}"
            raise ValueError(msg)
        self.radius, self.eps = radius, eps

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        from kornia.filters import guided_blur

        filtered: Tensor = guided_blur(images, images, _window(self.radius, images), self.eps)
        return filtered.clamp(0, 1)


def _window(radius: int, images: Tensor) -> int:
    """Side of a filter's window, at most what the border's reflection allows."""
    return 2 * min(radius, min(images.shape[-2:]) - 1) + 1
