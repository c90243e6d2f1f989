"""Edited views of images, optimized along with them in activation."""

from __future__ import annotations

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
        source: Source of the edits' seeds.
    """

    def __init__(self, copies: int, source: torch.Generator) -> None:
        self.copies = copies
        self.source = source
        self.edits = random_edits()

    def __call__(self, images: Tensor) -> Tensor:
        """Edit normalized images, (B, 3, S, S) to (N * B, 3, S, S).

        N is ``copies``. S must be a multiple of 16.
        """
        seed = int(torch.randint(2**31, (), generator=self.source))
        with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
            torch.manual_seed(seed)
            pixels = denormalize(images).clamp(0, 1).repeat(self.copies, 1, 1, 1)
            return normalize(self.edits(pixels))
