"""Small copy-detection network from images to unit-length descriptors."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from checkpoints.card import Purpose
from checkpoints.saved import SavedModel

MAX_SIDE = 1024
"""Largest input side, in pixels."""


class CopyNetwork(SavedModel, tags=["copy-detection"]):
    """Base of the copy-detection networks: a linear layer on pooled features.

    Args:
        image_size: Side of the input, in pixels.

    Raises:
        ValueError: If the side is out of range.
    """

    project: nn.Linear

    def __init__(self, image_size: int) -> None:
        super().__init__()
        if not 1 <= image_size <= MAX_SIDE:
            msg = f"image_size must be 1 to {MAX_SIDE} pixels, got {image_size}"
            raise ValueError(msg)
        self.image_size = image_size

    @abstractmethod
    def pooled_features(self, images: Tensor) -> Tensor:
        """Compute the input of the linear layer from normalized images."""

    def forward(self, images: Tensor) -> Tensor:
        """Compute unit-length descriptors.

        Args:
            images: (B, 3, S, S), normalized by ImageNet's mean and standard deviation.

        Returns:
            (B, D) float32.
        """
        return F.normalize(self.project(self.pooled_features(images)).float(), dim=1)


class CopyNet(CopyNetwork):
    """Convolutional network with generalized-mean pooling and a linear layer.

    Pooling is that of Radenović et al., arXiv 1711.02512.

    Args:
        image_size: Side of the input, in pixels.
        channels: Width of each stage; each halves the side.
        descriptor: Length D of a descriptor.
        power: Exponent of the pooling; 1 is the mean, infinity the maximum.
        standardise: Normalize each image to mean 0 and standard deviation 1 first, which reduces
            the effect of brightness and contrast.

    Raises:
        ValueError: If the side is out of range.
    """

    PURPOSE = Purpose(
        "Copy-detection network",
        use="Finding edited copies of images in an index.",
        limits=(
            "Describes images like its training images; mostly misses rotated, "
            "recolored and framed copies."
        ),
    )

    def __init__(
        self,
        image_size: int = 64,
        channels: tuple[int, ...] = (24, 48, 96, 160),
        descriptor: int = 64,
        power: float = 3.0,
        standardise: bool = False,
    ) -> None:
        super().__init__(image_size)
        self.power = power
        self.standardise = standardise
        stages: list[nn.Module] = []
        in_channels = 3
        for width in channels:
            stages.append(_Stage(in_channels, width))
            in_channels = width
        self.trunk = nn.Sequential(*stages)
        self.project = nn.Linear(in_channels, descriptor)

    def pooled_features(self, images: Tensor) -> Tensor:
        """Compute the input of the linear layer, (B, width of the last stage)."""
        if self.standardise:
            mean = images.mean(dim=(1, 2, 3), keepdim=True)
            std = images.std(dim=(1, 2, 3), keepdim=True)
            images = (images - mean) / (std + 0.05)
        maps = self.trunk(images).float().clamp_min(1e-4)
        return maps.pow(self.power).mean(dim=(2, 3)).pow(1 / self.power)


class _Stage(nn.Module):
    """Strided convolution, then a convolution with a skip connection."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.SiLU(),
        )
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.SiLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return torch.relu(x + self.second(x))
