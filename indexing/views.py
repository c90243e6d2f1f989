"""Edited views, under which activation draws images to their target."""

from __future__ import annotations

import torch
from torch import Tensor

from images.transforms.differentiable import random_edits
from models.preprocessing import denormalize, normalize


class EditedViews:
    """Randomly edited copies of normalized images, with gradients.

    The kinds and ranges are those that active image indexing was tried with before its release; see
    :func:`images.transforms.differentiable.random_edits`.

    Args:
        copies: Views of each image, at least 1.
        source: Where seeds are drawn.
    """

    def __init__(self, copies: int, source: torch.Generator) -> None:
        self.copies, self.source = copies, source
        self.edits = random_edits()

    def __call__(self, images: Tensor) -> Tensor:
        """Edit normalized images: (B, 3, S, S) to (copies * B, 3, S, S); S is a multiple of 16."""
        seed = int(torch.randint(2**31, (), generator=self.source))
        with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
            torch.manual_seed(seed)
            pixels = denormalize(images).clamp(0, 1).repeat(self.copies, 1, 1, 1)
            return normalize(self.edits(pixels))
