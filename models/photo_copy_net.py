"""Copy-detection network for photographs, from images to unit-length descriptors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from checkpoints.card import Purpose
from models.copy_net import CopyNetwork
from models.lite_net import WIDTH, LiteNet
from models.preprocessing import HALF, denormalize, normalize


class PhotoCopyNet(CopyNetwork):
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
        super().__init__(image_size)
        self.trunk = LiteNet()
        self.project = nn.Linear(WIDTH, descriptor)

    def pooled_features(self, images: Tensor) -> Tensor:
        """Compute the input of the linear layer, (B, 1280)."""
        views = normalize(denormalize(images), HALF, HALF)
        return self.trunk(views.contiguous(memory_format=torch.channels_last)).sqrt()
