"""Small receptive fields, averaged: every patch votes, so that the votes are a heat map (LaDeDa, arXiv 2406.07422)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.networks.residuals import npr


class Bottleneck(nn.Module):
    """ResNet's bottleneck; only ``kernel`` pixels wide."""

    def __init__(self, before: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        after = 4 * width
        self.branch = nn.Sequential(
            *(nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
            *(
                nn.Conv2d(width, width, kernel, stride, kernel // 2, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ),
            *(nn.Conv2d(width, after, 1, bias=False), nn.BatchNorm2d(after)),
        )
        same = before == after and stride == 1
        self.path = (
            nn.Identity()
            if same
            else nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return (self.branch(x) + self.path(x)).relu()


class PatchClassifier(nn.Module):
    """A ResNet-50 with 1x1 kernels but for three, so that each of its logits sees 9x9 pixels; their mean is the picture's.

    Args:
        width: Channels of the first stage; 64 as in ResNet-50.
        depths: Blocks of each of the four stages.
    """

    def __init__(self, width: int = 64, depths: tuple[int, int, int, int] = (3, 4, 6, 3)) -> None:
        super().__init__()
        stem = [nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        blocks: list[nn.Module] = []
        before = width
        for stage, depth in enumerate(depths):
            for index in range(depth):
                first = index == 0
                # 3 pixels of the stem, 2 more by the first stage's kernel, 4 more by the second's at half the side: 9
                kernel = 3 if first and stage < 2 else 1
                blocks.append(
                    Bottleneck(
                        before,
                        width * 2**stage,
                        kernel,
                        stride=2 if first and stage in (0, 1) else 1,
                    )
                )
                before = 4 * width * 2**stage
        self.network = nn.Sequential(*stem, *blocks)
        self.head = nn.Conv2d(before, 1, 1)

    def heat(self, images: Tensor) -> Tensor:
        """Logit of every patch of (B, 3, H, W) pictures in [0, 1], (B, h, w)."""
        return self.head(self.network(npr(images * 2 - 1))).squeeze(1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B,)."""
        return self.heat(images).mean(dim=(1, 2))


class TinyPatchClassifier(nn.Module):
    """Tiny-LaDeDa: four convolutions, about a thousand numbers, on the difference of each pixel and its neighbour to the lower right."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            *(nn.Conv2d(3, 8, 1), nn.ReLU()),
            *(nn.Conv2d(8, 8, 3), nn.ReLU()),
            *(nn.Conv2d(8, 8, 3, stride=2), nn.ReLU()),
            nn.Conv2d(8, 1, 1),
        )

    def heat(self, images: Tensor) -> Tensor:
        """Logit of every patch of (B, 3, H, W) pictures in [0, 1], (B, h, w)."""
        difference = F.pad(images, (0, 1, 0, 1), mode="replicate")[..., 1:, 1:] - images
        return self.network(difference * 8).squeeze(1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B,)."""
        return self.heat(images).mean(dim=(1, 2))


def heat_map(network: nn.Module, images: Tensor) -> Tensor | None:
    """P(generated) of every place, (B, H, W), where a network's logits have places; None where they have not."""
    heat = getattr(network, "heat", None)
    if heat is None:
        return None
    return torch.sigmoid(
        F.interpolate(heat(images).unsqueeze(1), images.shape[-2:], mode="bilinear")
    )[:, 0]
