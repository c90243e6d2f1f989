"""Patch classifiers with small receptive fields (LaDeDa, arXiv 2406.07422).

The mean of the patch logits is the image's logit; the patch logits form a heat map.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from detectors.networks.residuals import npr


class Bottleneck(nn.Module):
    """ResNet's bottleneck with a kernel of any size.

    Args:
        inputs: Input channels.
        width: Inner channels; the output has four times as many.
        kernel: Side of the middle kernel, in pixels.
        stride: Stride of the middle convolution.
    """

    def __init__(self, inputs: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.path: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.path = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        return (self.branch(x) + self.path(x)).relu()


class PatchClassifier(nn.Module):
    """ResNet-50 whose patch logits see 9x9 pixels each.

    All kernels are 1x1, except for three (LaDeDa, arXiv 2406.07422).

    Args:
        width: Channels of the first stage; 64 in ResNet-50.
        depths: Number of blocks of each of the four stages.
    """

    def __init__(self, width: int = 64, depths: tuple[int, int, int, int] = (3, 4, 6, 3)) -> None:
        super().__init__()
        stem = [nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        blocks: list[nn.Module] = []
        channels = width
        for stage, depth in enumerate(depths):
            stage_width = width * 2**stage
            for index in range(depth):
                # receptive field: 3 pixels of the stem, 2 more by the first stage's kernel,
                # 4 more by the second's at half the side: 9
                wide = index == 0 and stage in (0, 1)
                kernel = 3 if wide else 1
                stride = 2 if wide else 1
                blocks.append(Bottleneck(channels, stage_width, kernel, stride))
                channels = 4 * stage_width
        self.network = nn.Sequential(*stem, *blocks)
        self.head = nn.Conv2d(channels, 1, 1)

    def patch_logits(self, images: Tensor) -> Tensor:
        """Compute patch logits, (B, h, w), of (B, 3, H, W) images in [0, 1]."""
        return self.head(self.network(npr(images * 2 - 1))).squeeze(1)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, (B,), of (B, 3, H, W) images in [0, 1]."""
        return self.patch_logits(images).mean(dim=(1, 2))


class TinyPatchClassifier(nn.Module):
    """Tiny-LaDeDa: four convolutions on diagonal pixel differences, about 1,000 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(3, 8, 1),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, stride=2),
            nn.ReLU(),
            nn.Conv2d(8, 1, 1),
        )

    def patch_logits(self, images: Tensor) -> Tensor:
        """Compute patch logits, (B, h, w), of (B, 3, H, W) images in [0, 1]."""
        lower_right = F.pad(images, (0, 1, 0, 1), mode="replicate")[..., 1:, 1:]
        difference = lower_right - images
        return self.network(difference * 8).squeeze(1)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, (B,), of (B, 3, H, W) images in [0, 1]."""
        return self.patch_logits(images).mean(dim=(1, 2))


def local_logits(network: nn.Module, images: Tensor) -> Tensor:
    """Compute a logit of every pixel.

    Args:
        network: Network of a detector.
        images: (B, 3, H, W) in [0, 1].

    Returns:
        (B, H, W); the logit of the whole image everywhere, for networks without patch logits.
    """
    patch_logits = getattr(network, "patch_logits", None)
    if patch_logits is None:
        logits: Tensor = network(images)
        return logits.view(-1, 1, 1).expand(-1, *images.shape[-2:])
    return F.interpolate(patch_logits(images).unsqueeze(1), images.shape[-2:], mode="bilinear")[
        :, 0
    ]
