"""Classification by the DCT spectrum (FreDect, arXiv 2003.08685)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

MAX_SIDE = 2048
"""Largest input side, in pixels."""


def dct_matrix(size: int) -> Tensor:
    """Build the orthonormal DCT-II matrix, (size, size): ``M @ x`` transforms a vector."""
    index = torch.arange(size, dtype=torch.float64)
    angles = math.pi / size * (index + 0.5).view(1, -1) * index.view(-1, 1)
    matrix = torch.cos(angles) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix.float()


class DCTClassifier(nn.Module):
    """Classifier of the standardized logarithmic DCT spectrum.

    Args:
        size: Side of the images, in pixels, 1 to 2048.
        kind: ``linear``: a linear layer; ``cnn``: a small convolutional network.

    Raises:
        ValueError: If an argument is out of range.
    """

    matrix: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, size: int = 128, kind: Literal["linear", "cnn"] = "cnn") -> None:
        super().__init__()
        if not 1 <= size <= MAX_SIDE:
            msg = f"size is 1 to {MAX_SIDE} pixels, got {size}"
            raise ValueError(msg)
        if kind not in ("linear", "cnn"):
            msg = f"kind is linear or cnn, got {kind}"
            raise ValueError(msg)
        self.size = size
        self.register_buffer("matrix", dct_matrix(size), persistent=False)
        self.register_buffer("mean", torch.zeros(3, size, size))
        self.register_buffer("std", torch.ones(3, size, size))
        if kind == "linear":
            self.head = nn.Sequential(nn.Flatten(), nn.Linear(3 * size * size, 1))
        else:
            self.head = small_cnn()

    def spectrum(self, images: Tensor) -> Tensor:
        """Compute the logarithms of absolute DCT coefficients.

        Args:
            images: (B, 3, size, size) in [0, 1].

        Returns:
            (B, 3, size, size).

        Raises:
            ValueError: If the images have another size.
        """
        if images.shape[-2:] != (self.size, self.size):
            msg = (
                f"this network takes {self.size}x{self.size} images, "
                f"got {images.shape[-1]}x{images.shape[-2]}"
            )
            raise ValueError(msg)
        # half precision would drown the generators' traces
        with torch.autocast(images.device.type, enabled=False):
            coefficients = self.matrix @ (images.float() * 255) @ self.matrix.T
            return (coefficients.abs() + 1e-6).log()

    @property
    def prepared(self) -> bool:
        """True if :meth:`prepare` has set the statistics, now or before saving."""
        return bool((self.mean != 0).any())

    @torch.no_grad()
    def prepare(self, batches: Iterable[Tensor]) -> None:
        """Set mean and standard deviation of every coefficient from batches of images."""
        spectra = torch.cat([self.spectrum(images) for images in batches])
        self.mean.copy_(spectra.mean(dim=0))
        self.std.copy_(spectra.std(dim=0).clamp(min=1e-4))

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, (B,), of (B, 3, size, size) images in [0, 1]."""
        return self.head((self.spectrum(images) - self.mean) / self.std).squeeze(1)


def small_cnn() -> nn.Sequential:
    """Build four convolutions; each but the first halves the side."""
    layers: list[nn.Module] = []
    for inputs, outputs, stride in ((3, 16, 1), (16, 32, 2), (32, 64, 2), (64, 64, 2)):
        layers += [
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64 * 16, 1))
