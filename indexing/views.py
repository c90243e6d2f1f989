"""Edited views of pictures for activation: what is drawn to the target under edits is found again under edits."""

from __future__ import annotations

import kornia.augmentation as augmentation
import torch
from torch import Tensor, nn

from models.preprocessing import denormalize, normalize


class EditedViews:
    """Differentiable edits at random: rotation to 90 degrees, crop, colour jitter, blur, JPEG of quality 40 to 100.

    The kinds and ranges are those that active image indexing was tried with before its release; each is applied to half of the views.

    Args:
        copies: Views of each picture.
        source: Where seeds are drawn.
    """

    def __init__(self, copies: int, source: torch.Generator) -> None:
        self.copies, self.source = copies, source
        self.edits = nn.Sequential(
            augmentation.RandomAffine(90.0, scale=(1.0, 1.6), p=0.5),
            augmentation.ColorJitter(0.5, 0.5, 0.5, 0.2, p=0.5),
            augmentation.RandomGaussianBlur((7, 7), (0.5, 2.0), p=0.5),
            augmentation.RandomJPEG((40.0, 100.0), p=0.5),
        )

    def __call__(self, images: Tensor) -> Tensor:
        """(copies * B, 3, S, S) from (B, 3, S, S), both normalised, copy after copy; S divisible by 16."""
        seed = int(torch.randint(2**31, (), generator=self.source))
        with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
            torch.manual_seed(seed)
            return normalize(self.edits(denormalize(images).clamp(0, 1).repeat(self.copies, 1, 1, 1)))
