"""Transparent images in activation: a search sees them on white."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Opacity = Tensor | None
"""Opacity of an image's pixels, (1, H, W) in [0, 1]; None if all are opaque."""


def on_white(images: Sequence[Tensor], opacities: Sequence[Opacity]) -> list[Tensor]:
    """Put images on white, rounded to 8 bits, as :meth:`images.photo.Photo.on_white` does.

    Args:
        images: (3, H, W) RGB in [0, 1] each.
        opacities: Opacity of each; opaque images stay as they are.
    """
    return [
        image if opacity is None else _blend(image, opacity)
        for image, opacity in zip(images, opacities, strict=True)
    ]


def _blend(image: Tensor, opacity: Tensor) -> Tensor:
    """Put an image on white."""
    return torch.round(255 * (image * opacity + 1 - opacity)) / 255
