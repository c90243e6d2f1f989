"""Networks that see only what a smooth guess leaves of a picture: up-sampling traces and high frequencies."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.networks.resnet import ResNet50, draw

HAAR_HIGH = (-0.70710678118655, 0.70710678118655)
"""High-pass analysis filter of Haar's wavelet, and of the biorthogonal wavelet 1.3, whose low-pass alone is longer."""


class TruncatedResNet50(nn.Module):
    """ResNet-50 up to its second stage, with a stem that keeps more of the fine structure, untrained.

    Args:
        channels: Of the input.
    """

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        whole = ResNet50()
        first = nn.Conv2d(channels, 64, 3, stride=2, padding=1, bias=False)
        draw(first)
        self.stem = nn.Sequential(first, whole.bn1, whole.relu, whole.maxpool)
        self.layers = nn.Sequential(whole.layer1, whole.layer2)
        self.head = nn.Linear(512, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (B,)."""
        return self.head(self.layers(self.stem(x)).mean(dim=(2, 3))).squeeze(1)


def npr(images: Tensor) -> Tensor:
    """Neighbouring pixel relations (arXiv 2312.10461): what halving the picture and repeating its pixels loses, times 2/3.

    Args:
        images: (B, 3, H, W); an odd last row or column is left out.
    """
    images = images[..., : images.shape[-2] // 2 * 2, : images.shape[-1] // 2 * 2]
    small = images[..., ::2, ::2]
    return (images - small.repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)) * (2 / 3)


class NPRClassifier(nn.Module):
    """NPR: :func:`npr` into a short ResNet, trained from scratch."""

    def __init__(self) -> None:
        super().__init__()
        self.network = TruncatedResNet50()

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B,)."""
        return self.network(npr(images * 2 - 1))


def srm_filters() -> Tensor:
    """Three filters of the spatial rich model (Fridrich & Kodovsky, 2012): second order, 3x3 square and 5x5 square; (3, 1, 5, 5)."""
    line = torch.zeros(5, 5)
    line[2, 1:4] = torch.tensor([1.0, -2.0, 1.0]) / 2
    square = torch.zeros(5, 5)
    square[1:4, 1:4] = torch.tensor([[-1.0, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4
    large = (
        torch.tensor(
            [
                [-1.0, 2, -2, 2, -1],
                [2, -6, 8, -6, 2],
                [-2, 8, -12, 8, -2],
                [2, -6, 8, -6, 2],
                [-1, 2, -2, 2, -1],
            ]
        )
        / 12
    )
    return torch.stack([line, square, large]).unsqueeze(1)


def haar_hh(images: Tensor) -> Tensor:
    """The HH band of one level of the wavelet bior1.3, (B, C, H/2, W/2), as PyWavelets computes it with periodic edges."""
    high = torch.tensor(HAAR_HIGH, dtype=images.dtype, device=images.device)
    kernel = torch.outer(high, high).expand(images.shape[1], 1, 2, 2)
    return F.conv2d(images, kernel, stride=2, groups=images.shape[1])


class ResidualClassifier(nn.Module):
    """A fixed high-pass filter into a short ResNet: SRM as in many forensic networks, or a wavelet's finest diagonal band as in SAFE.

    Args:
        kind: ``srm`` or ``dwt``.
    """

    filters: Tensor

    def __init__(self, kind: Literal["srm", "dwt"] = "srm") -> None:
        super().__init__()
        if kind not in ("srm", "dwt"):
            msg = f"kind is srm or dwt, got {kind}"
            raise ValueError(msg)
        self.kind = kind
        self.register_buffer("filters", srm_filters(), persistent=False)
        self.network = TruncatedResNet50(9 if kind == "srm" else 3)

    def residual(self, images: Tensor) -> Tensor:
        """What the network sees of (B, 3, H, W) pictures in [0, 1]."""
        with torch.autocast(
            images.device.type, enabled=False
        ):  # half precision would drown what it is to find
            images = images.float()
            if self.kind == "dwt":
                return haar_hh(images * 2 - 1)
            levels = F.pad(images * 255, (2, 2, 2, 2), mode="reflect")
            return F.conv2d(levels, self.filters.repeat(3, 1, 1, 1), groups=3).clamp(-3, 3) / 3

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B,)."""
        return self.network(self.residual(images))
