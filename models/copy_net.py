"""A small network for copy detection: pictures in, descriptors of unit length out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from checkpoints.card import Purpose
from checkpoints.saved import SavedModel

LARGEST_SIDE = 1024


class CopyNet(SavedModel, tags=["copy-detection"]):
    """Convolutions, generalised-mean pooling (Radenović et al., arXiv 1711.02512) and a linear layer.

    Args:
        image_size: Side of its input, in pixels.
        channels: Width of each stage; each halves the side.
        descriptor: Length D of a descriptor.
        power: Of the pooling; 1 is the mean, infinity the maximum.
        standardise: Bring each picture to mean 0 and deviation 1 first, so that brightness and contrast hardly matter.

    Raises:
        ValueError: If the side is out of range.
    """

    PURPOSE = Purpose(
        "Copy-detection network",
        use="Finding edited copies of pictures in an index.",
        limits="Describes pictures like those it was trained on; turned, recoloured and framed copies it mostly misses.",
    )

    def __init__(
        self,
        image_size: int = 64,
        channels: tuple[int, ...] = (24, 48, 96, 160),
        descriptor: int = 64,
        power: float = 3.0,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        if not 1 <= image_size <= LARGEST_SIDE:
            msg = f"image_size is 1 to {LARGEST_SIDE} pixels, got {image_size}"
            raise ValueError(msg)
        self.image_size, self.power, self.standardise = image_size, power, standardise
        stages: list[nn.Module] = []
        before = 3
        for width in channels:
            stages.append(_Stage(before, width))
            before = width
        self.trunk = nn.Sequential(*stages)
        self.project = nn.Linear(before, descriptor)

    def forward(self, images: Tensor) -> Tensor:
        """Descriptors, (B, D) of unit length, of (B, 3, S, S) pictures, normalised by ImageNet's statistics."""
        return F.normalize(self.project(self.pooled_features(images)).float(), dim=1)

    def pooled_features(self, images: Tensor) -> Tensor:
        """What the linear layer sees, (B, width of the last stage)."""
        if self.standardise:
            mean, deviation = (
                images.mean(dim=(1, 2, 3), keepdim=True),
                images.std(dim=(1, 2, 3), keepdim=True),
            )
            images = (images - mean) / (deviation + 0.05)
        maps = self.trunk(images).float().clamp_min(1e-4)
        return maps.pow(self.power).mean(dim=(2, 3)).pow(1 / self.power)


class _Stage(nn.Module):
    """A convolution that halves the side, then one with a skip."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.SiLU(),
        )
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return torch.relu(x + self.second(x))
