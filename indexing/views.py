"""Edited views of images, optimized along with them in activation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from images.transforms.differentiable import random_edits
from models.preprocessing import denormalize, normalize


class EditedViews:
    """Differentiable random edits of normalized images.

    The edits and their ranges are those of active image indexing's experiments before its release;
    see :func:`images.transforms.differentiable.random_edits`.

    Args:
        copies: Views per image, at least 1.
        sources: Source of the edits' seeds for each image.
    """

    def __init__(self, copies: int, sources: Sequence[torch.Generator]) -> None:
        self.copies = copies
        self.sources = sources
        self.edits = random_edits()

    def __call__(self, images: Tensor) -> Tensor:
        """Edit normalized images, (B, 3, S, S) to (N * B, 3, S, S): all, then all again, N times.

        N is ``copies``; B is the number of sources. S must be a multiple of 16.
        """
        by_image = [
            self._edited(image, source)
            for image, source in zip(images.split(1), self.sources, strict=True)
        ]
        return torch.stack(by_image, dim=1).flatten(0, 1)

    def _edited(self, image: Tensor, source: torch.Generator) -> Tensor:
        """Edit one image, (1, 3, S, S) to (N, 3, S, S)."""
        seed = int(torch.randint(2**31, (), generator=source))
        with torch.random.fork_rng(devices=[image.device] if image.is_cuda else []):
            torch.manual_seed(seed)
            pixels = denormalize(image).clamp(0, 1).repeat(self.copies, 1, 1, 1)
            return normalize(self.edits(pixels))
