"""ResNet-50 without torchvision.

Importing torchvision takes three times as long as torch itself.
"""

from __future__ import annotations

from torch import Tensor, nn


class Bottleneck(nn.Module):
    """Three convolutions with a shortcut (He et al. 2016).

    Args:
        inputs: Input channels.
        width: Inner channels; the output has four times as many.
        stride: Stride of the middle convolution.
    """

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        # initialized first, registered last: torchvision's order
        shortcut: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        inner = self.relu(self.bn1(self.conv1(x)))
        inner = self.relu(self.bn2(self.conv2(inner)))
        inner = self.bn3(self.conv3(inner))
        inner += x if self.downsample is None else self.downsample(x)
        return self.relu(inner)


class ResNet50(nn.Module):
    """ResNet-50 (He et al. 2016), equal to torchvision's.

    Parameter names, initialization and the order of random draws are the same.
    """

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
                init_conv(module)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits, (B, 1000), of normalized images, (B, 3, H, W)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def init_conv(convolution: nn.Conv2d) -> None:
    """Initialize a convolution's weights as ResNet does.

    Meta tensors are left alone, since torch would import its compiler to initialize them.
    """
    if not convolution.weight.is_meta:
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")


def stage(inputs: int, width: int, depth: int, stride: int) -> nn.Sequential:
    """Build a stage of bottlenecks; the first one has the stride.

    Args:
        inputs: Input channels.
        width: Inner channels of the blocks.
        depth: Number of blocks, at least 1.
        stride: Stride of the first block.
    """
    blocks = [Bottleneck(inputs, width, stride)]
    for _ in range(depth - 1):
        blocks.append(Bottleneck(4 * width, width, 1))
    return nn.Sequential(*blocks)
