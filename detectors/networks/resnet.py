"""ResNet-50, written out: torchvision, which has it, takes three times as long to import as torch itself."""

from __future__ import annotations

from torch import Tensor, nn


class Bottleneck(nn.Module):
    """Three convolutions around a shortcut (He et al. 2016); the stride is in the middle one.

    Args:
        before: Channels that come in.
        width: Channels inside; four times as many come out.
        stride: Of the middle convolution.
    """

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        after = 4 * width
        shortcut: nn.Module | None = None
        if stride != 1 or before != after:
            shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )
        self.conv1 = nn.Conv2d(before, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, after, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut  # drawn first, named last: torchvision's order

    def forward(self, x: Tensor) -> Tensor:
        inner = self.relu(self.bn1(self.conv1(x)))
        inner = self.relu(self.bn2(self.conv2(inner)))
        inner = self.bn3(self.conv3(inner))
        inner += x if self.downsample is None else self.downsample(x)
        return self.relu(inner)


class ResNet50(nn.Module):
    """ResNet-50 with torchvision's names, initialisation and order of random draws, so that weights of both are the same."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = stage(64, 64, 3, 1)
        self.layer2 = stage(256, 128, 4, 2)
        self.layer3 = stage(512, 256, 6, 2)
        self.layer4 = stage(1024, 512, 3, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(2048, 1000)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                draw(module)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (B, 1000), of normalized images, (B, 3, H, W)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def draw(convolution: nn.Conv2d) -> None:
    """Draw a convolution's weights as ResNet does.

    Weights without storage are left as they are: torch would import its compiler to draw them.
    """
    if not convolution.weight.is_meta:
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")


def stage(before: int, width: int, depth: int, stride: int) -> nn.Sequential:
    """Blocks of one width; the first has the stride."""
    rest = (Bottleneck(4 * width, width, 1) for _ in range(depth - 1))
    return nn.Sequential(Bottleneck(before, width, stride), *rest)
