"""Networks on image residuals: up-sampling traces and high frequencies."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.networks.resnet import ResNet50, init_conv

HAAR_HIGH = (-0.70710678118655, 0.70710678118655)
"""High-pass analysis filter of the wavelets Haar and bior1.3."""


class TruncatedResNet50(nn.Module):
    """ResNet-50 up to its second stage, with a 3x3 stem.

    The small stem keeps fine structure. The weights are random.

    Args:
        channels: Input channels.
    """

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        resnet = ResNet50()
        first = nn.Conv2d(channels, 64, 3, stride=2, padding=1, bias=False)
        init_conv(first)
        self.stem = nn.Sequential(first, resnet.bn1, resnet.relu, resnet.maxpool)
        self.layers = nn.Sequential(resnet.layer1, resnet.layer2)
        self.head = nn.Linear(512, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits, (B,), of (B, channels, H, W) inputs."""
        return self.head(self.layers(self.stem(x)).mean(dim=(2, 3))).squeeze(1)


def npr(images: Tensor) -> Tensor:
    """Compute neighboring pixel relations (NPR, arXiv 2312.10461).

    They are the difference between an image and its nearest-neighbor down- and up-sampled version,
    times 2/3.

    Args:
        images: (B, 3, H, W); an odd last row or column is dropped.

    Returns:
        (B, 3, H // 2 * 2, W // 2 * 2).
    """
    images = images[..., : images.shape[-2] // 2 * 2, : images.shape[-1] // 2 * 2]
    halved = images[..., ::2, ::2]
    restored = halved.repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)
    return (images - restored) * (2 / 3)


class NPRClassifier(nn.Module):
    """Classifier of NPR residuals (arXiv 2312.10461); see :func:`npr`."""

    def __init__(self) -> None:
        super().__init__()
        self.network = TruncatedResNet50()

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, (B,), of (B, 3, H, W) images in [0, 1]."""
        return self.network(npr(images * 2 - 1))


def srm_filters() -> Tensor:
    """Build three filters of the spatial rich model, (3, 1, 5, 5).

    They are second order, 3x3 square and 5x5 square (Fridrich & Kodovsky, 2012).
    """
    line = torch.zeros(5, 5)
    line[2, 1:4] = torch.tensor([1.0, -2.0, 1.0]) / 2
    square = torch.zeros(5, 5)
    square[1:4, 1:4] = torch.tensor([[-1.0, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4
    large = [
        [-1.0, 2, -2, 2, -1],
        [2, -6, 8, -6, 2],
        [-2, 8, -12, 8, -2],
        [2, -6, 8, -6, 2],
        [-1, 2, -2, 2, -1],
    ]
    return torch.stack([line, square, torch.tensor(large) / 12]).unsqueeze(1)


def haar_hh(images: Tensor) -> Tensor:
    """Compute the HH band of one level of the wavelet bior1.3.

    It equals PyWavelets' with periodic edges.

    Args:
        images: (B, C, H, W).

    Returns:
        (B, C, H/2, W/2).
    """
    high = torch.tensor(HAAR_HIGH, dtype=images.dtype, device=images.device)
    kernel = torch.outer(high, high).expand(images.shape[1], 1, 2, 2)
    return F.conv2d(images, kernel, stride=2, groups=images.shape[1])


class ResidualClassifier(nn.Module):
    """Classifier of fixed high-pass residuals.

    Args:
        kind: ``srm``: filters of the spatial rich model; ``dwt``: finest diagonal wavelet band, as
            in SAFE.

    Raises:
        ValueError: If there is no such kind.
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
        """Compute the network's input, of (B, 3, H, W) images in [0, 1]."""
        # half precision would drown the generators' traces
        with torch.autocast(images.device.type, enabled=False):
            images = images.float()
            if self.kind == "dwt":
                return haar_hh(images * 2 - 1)
            padded = F.pad(images * 255, (2, 2, 2, 2), mode="reflect")
            return F.conv2d(padded, self.filters.repeat(3, 1, 1, 1), groups=3).clamp(-3, 3) / 3

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, (B,), of (B, 3, H, W) images in [0, 1]."""
        return self.network(self.residual(images))
