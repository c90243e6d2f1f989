"""Copy-detection network for photographs, from images to unit-length descriptors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from checkpoints.card import Purpose
from checkpoints.saved import SavedModel
from models.lite_net import WIDTH, LiteNet
from models.preprocessing import HALF, denormalize, normalize

MAX_SIDE = 1024
"""Largest input side, in pixels."""


class PhotoCopyNet(SavedModel, tags=["copy-detection"]):
    """EfficientNet-Lite0 with generalized-mean pooling, a square root and a linear layer.

    The root weakens bursts, that is repeated patterns (Arandjelović and Zisserman, CVPR 2012).

    Args:
        image_size: Side of the input, in pixels.
        descriptor: Length D of a descriptor.

    Raises:
        ValueError: If the side is out of range.
    """

    PURPOSE = Purpose(
        "Copy-detection network for photographs",
        use="Finding edited copies of photographs in an index.",
        limits=(
            "Mostly misses copies that are a small part of a page, such as a screenshot; knows "
            "few kinds of images besides photographs."
        ),
    )

    def __init__(self, image_size: int = 224, descriptor: int = 512) -> None:
        super().__init__()
        if not 1 <= image_size <= MAX_SIDE:
            msg = f"image_size must be 1 to {MAX_SIDE} pixels, got {image_size}"
            raise ValueError(msg)
        self.image_size = image_size
        self.trunk = LiteNet()
        self.project = nn.Linear(WIDTH, descriptor)

    def forward(self, images: Tensor) -> Tensor:
        """Compute unit-length descriptors.

        Args:
            images: (B, 3, S, S), normalized by ImageNet's mean and standard deviation.

        Returns:
            (B, D) float32.
        """
        return F.normalize(self.project(self.pooled_features(images)).float(), dim=1)

    def pooled_features(self, images: Tensor) -> Tensor:
        """Compute the input of the linear layer, (B, 1280)."""
        views = normalize(denormalize(images), HALF, HALF)
        return self.trunk(views.contiguous(memory_format=torch.channels_last)).sqrt()
