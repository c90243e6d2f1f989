"""Classification by the spectrum (FreDect, arXiv 2003.08685)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

LARGEST_SIDE = 2048


def dct_matrix(size: int) -> Tensor:
    """The orthonormal DCT-II, (size, size): ``M @ x`` transforms a vector."""
    place = torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(math.pi / size * (place + 0.5).view(1, -1) * place.view(-1, 1)) * math.sqrt(
        2 / size
    )
    matrix[0] /= math.sqrt(2)
    return matrix.float()


class DCTClassifier(nn.Module):
    """Logarithm of the absolute DCT coefficients, standardised one by one, into a linear layer or a small convolutional network.

    Args:
        size: Side of the pictures, in pixels.
        kind: ``linear`` or ``cnn``.
    """

    matrix: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, size: int = 128, kind: Literal["linear", "cnn"] = "cnn") -> None:
        super().__init__()
        if not 1 <= size <= LARGEST_SIDE:
            msg = f"size is 1 to {LARGEST_SIDE} pixels, got {size}"
            raise ValueError(msg)
        if kind not in ("linear", "cnn"):
            msg = f"kind is linear or cnn, got {kind}"
            raise ValueError(msg)
        self.size = size
        self.register_buffer("matrix", dct_matrix(size), persistent=False)
        self.register_buffer("mean", torch.zeros(3, size, size))
        self.register_buffer("std", torch.ones(3, size, size))
        self.head: nn.Module = (
            nn.Sequential(nn.Flatten(), nn.Linear(3 * size * size, 1))
            if kind == "linear"
            else small_cnn()
        )

    def spectrum(self, images: Tensor) -> Tensor:
        """(B, 3, size, size) pictures in [0, 1] to logarithms of their coefficients' sizes.

        Raises:
            ValueError: If they have another size.
        """
        if images.shape[-2:] != (self.size, self.size):
            msg = f"this network takes {self.size}x{self.size} pictures, got {images.shape[-1]}x{images.shape[-2]}"
            raise ValueError(msg)
        with torch.autocast(
            images.device.type, enabled=False
        ):  # half precision would drown what it is to find
            coefficients = self.matrix @ (images.float() * 255) @ self.matrix.T
            return (coefficients.abs() + 1e-6).log()

    @property
    def prepared(self) -> bool:
        """Whether :meth:`prepare` has been called, on these weights or those they were loaded from."""
        return bool((self.mean != 0).any())

    @torch.no_grad()
    def prepare(self, batches: Iterable[Tensor]) -> None:
        """Take mean and deviation of every coefficient from pictures, before training."""
        spectra = torch.cat([self.spectrum(images) for images in batches])
        self.mean.copy_(spectra.mean(dim=0))
        self.std.copy_(spectra.std(dim=0).clamp(min=1e-4))

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B,)."""
        return self.head((self.spectrum(images) - self.mean) / self.std).squeeze(1)


def small_cnn() -> nn.Sequential:
    """Four convolutions, each halving the side but the first."""
    layers: list[nn.Module] = []
    for before, after, stride in ((3, 16, 1), (16, 32, 2), (32, 64, 2), (64, 64, 2)):
        layers += [
            nn.Conv2d(before, after, 3, stride=stride, padding=1),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64 * 16, 1))
