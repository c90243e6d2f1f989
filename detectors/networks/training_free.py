"""Detectors without training: distances between an image and a changed copy of it.

The logit is the distance in decibels, 10 log10, beyond a middle that only keeps the raw P from 0
and 1. Which distances are those of generated images is an option, as they can be the other ones:
with other preprocessing, backbones and data these scores change direction (arXiv 2606.20488).
Calibration refuses a wrong direction, and fits the middle anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.networks.backbone import MeanStd, frozen_backbone

Side = Literal["low", "high"]
"""Distances of generated images."""

SMALLEST = 1e-10
"""Least distance, so that its logarithm is finite."""

BLOCK = 16
"""Side of the blocks of a map of distances, in pixels."""


def decibels(distances: Tensor, middle: float, generated: Side) -> Tensor:
    """Convert distances to logits, above 0 for generated.

    Args:
        distances: At least 0.
        middle: Level of a logit of 0, in decibels.
        generated: Distances of generated images.
    """
    levels = 10 * distances.float().clamp_min(SMALLEST).log10() - middle
    return -levels if generated == "low" else levels


def check_side(generated: str) -> None:
    """Raise ValueError for another side than low and high."""
    if generated not in ("low", "high"):
        msg = f"generated is low or high, the distances of generated images; got {generated}"
        raise ValueError(msg)


class ReconstructionDistance(nn.Module):
    """Squared distance of an image from its reconstruction by an autoencoder.

    Images of a diffusion model are nearer to what its autoencoder can decode than photographs, as
    AEROBLADE found (arXiv 2401.17879). Its LPIPS is replaced by the mean square, which needs no
    weights.

    Args:
        autoencoder: Class of the autoencoder, one of :data:`models.pipelines.KINDS`.
        config: Its settings.
        generated: Distances of generated images: ``low``, as in the paper, or ``high``.

    Raises:
        ValueError: If there is no such class, or side.
    """

    without_head = True

    MIDDLE = -30.0
    """Level of a logit of 0, in decibels: a PSNR of 30."""

    def __init__(
        self, autoencoder: str, config: Mapping[str, Any], generated: Side = "low"
    ) -> None:
        from models.pipelines import KINDS

        super().__init__()
        check_side(generated)
        if autoencoder not in KINDS:
            msg = f"no autoencoder '{autoencoder}'; choose one of {', '.join(KINDS)}"
            raise ValueError(msg)
        self.autoencoder = KINDS[autoencoder](**config).eval().requires_grad_(False)
        self.generated: Side = generated

    def patch_logits(self, images: Tensor) -> Tensor:
        """Compute logits of blocks, (B, h, w), of (B, 3, H, W) images in [0, 1]."""
        side = min(BLOCK, *images.shape[-2:])
        blocks = F.avg_pool2d(self._squares(images), side).squeeze(1)
        return decibels(blocks, self.MIDDLE, self.generated)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, (B,), of (B, 3, H, W) images in [0, 1]."""
        return decibels(self._squares(images).mean(dim=(1, 2, 3)), self.MIDDLE, self.generated)

    @torch.no_grad()
    def _squares(self, images: Tensor) -> Tensor:
        """Compute squared differences, (B, 1, H, W), mean over the colors."""
        from models.pipelines import round_trip

        made = round_trip(self.autoencoder, images)
        return (made.float() - images.float()).square().mean(dim=1, keepdim=True)


class NoiseDistance(nn.Module):
    """Distance of a foundation model's features of an image from those of a noisy copy.

    It is 1 minus the cosine. Noise changes the features of generated images more, as RIGID found
    (arXiv 2405.20112). The noise is the same for all images, so that scores repeat.

    Args:
        name: timm's name; the paper's is ``vit_large_patch14_dinov2.lvd142m``.
        pretrained: Download timm's weights; saved detectors are opened without.
        noise: Standard deviation of the noise, above 0, for images in [0, 1].
        generated: Distances of generated images: ``high``, as in the paper, or ``low``.
        size: Input side in pixels, for models that support other sizes than their default.
        mean_std: Normalization: the model's, ImageNet's or CLIP's.

    Raises:
        ValueError: If timm has no such network, there is no such side, or no noise.
    """

    without_head = True

    MIDDLE = -20.0
    """Level of a logit of 0, in decibels: a cosine of 0.99."""

    def __init__(
        self,
        name: str,
        pretrained: bool = False,
        noise: float = 0.05,
        generated: Side = "high",
        size: int | None = None,
        mean_std: MeanStd = "model",
    ) -> None:
        super().__init__()
        check_side(generated)
        if not 0 < noise <= 1:
            msg = f"noise is above 0 and at most 1, for images in [0, 1]; got {noise}"
            raise ValueError(msg)
        self.backbone, _, self.normalize = frozen_backbone(
            name, pretrained, "pooled", size, mean_std
        )
        self.noise = noise
        self.generated: Side = generated

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, (B,), of (B, 3, H, W) images in [0, 1]."""
        generator = torch.Generator().manual_seed(0)
        noise = self.noise * torch.randn(images.shape[1:], generator=generator)
        noisy = images + noise.to(images.device, images.dtype)
        features = [self.backbone(self.normalize(batch)) for batch in (images, noisy)]
        distances = 1 - F.cosine_similarity(*(part.double() for part in features))
        return decibels(distances, self.MIDDLE, self.generated)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode."""
        return super().train(False)
