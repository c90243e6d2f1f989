"""Between pictures in [0, 1] and what the networks of copy detection see."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""ImageNet's statistics, per channel of [0, 1]."""


def normalise(images: Tensor) -> Tensor:
    """(…, 3, H, W) in [0, 1] by ImageNet's statistics."""
    mean, deviation = (images.new_tensor(values).view(3, 1, 1) for values in (MEAN, DEVIATION))
    return (images - mean) / deviation


def denormalise(images: Tensor) -> Tensor:
    """The inverse of :func:`normalise`."""
    mean, deviation = (images.new_tensor(values).view(3, 1, 1) for values in (MEAN, DEVIATION))
    return images * deviation + mean


def resize(images: Tensor, side: int, antialias: bool) -> Tensor:
    """(B, 3, H, W) to (B, 3, side, side), bilinear; the picture's proportions are not kept, as in the paper's programs."""
    if images.shape[-2:] == (side, side):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=antialias, align_corners=False)


def device_of(module: torch.nn.Module) -> torch.device:
    """Where a network is; the CPU if it holds no numbers."""
    return next((value.device for value in [*module.parameters(), *module.buffers()]), torch.device("cpu"))
