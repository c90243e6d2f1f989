"""Intermediate class tokens of a frozen ViT, as in RINE (arXiv 2402.19091)."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from detectors.networks.backbone import MeanStd, frozen_backbone


class IntermediateProbe(nn.Module):
    """Classifier of the class tokens of all blocks of a frozen ViT.

    A token is read before its block's MLP, behind the norm. Projected tokens are weighted per block
    and dimension, and added.

    Args:
        name: timm's name of a ViT, such as ``vit_large_patch14_clip_quickgelu_224.openai``.
        pretrained: Download timm's weights; saved detectors are opened without.
        width: Width of the projections, at least 1.
        layers: Layers of each projection, at least 1.
        dropout: Dropout rate of the trained layers, in [0, 1].
        size: Input side in pixels, for models that support other sizes than their default.
        mean_std: Normalization: the model's, ImageNet's or CLIP's.

    Raises:
        ValueError: If timm has no such network, it has no blocks, or a number is out of range.
    """

    def __init__(
        self,
        name: str,
        pretrained: bool = False,
        width: int = 1024,
        layers: int = 2,
        dropout: float = 0.5,
        size: int | None = None,
        mean_std: MeanStd = "model",
    ) -> None:
        super().__init__()
        if min(width, layers) < 1:
            msg = f"width and layers are at least 1, got {width} and {layers}"
            raise ValueError(msg)
        self.backbone, token_width, self.normalize = frozen_backbone(
            name, pretrained, "pooled", size, mean_std
        )
        self.norms = _norms(self.backbone, name)
        self.alpha = nn.Parameter(torch.randn(1, len(self.norms), width))
        self.proj1 = _projection(token_width, width, layers, dropout)
        self.proj2 = _projection(width, width, layers, dropout)
        self.head = nn.Sequential(
            *_layer(width, width, dropout), *_layer(width, width, dropout), nn.Linear(width, 1)
        )

    @torch.no_grad()
    def tokens(self, images: Tensor) -> Tensor:
        """Compute the class tokens, (B, blocks, D), of (B, 3, H, W) images in [0, 1]."""
        found: list[Tensor] = []

        def record(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            found.append(output[:, 0])

        handles = [norm.register_forward_hook(record) for norm in self.norms]
        try:
            self.backbone(self.normalize(images))
        finally:
            for handle in handles:
                handle.remove()
        return torch.stack(found, dim=1)

    def embed(self, images: Tensor) -> Tensor:
        """Compute embeddings, (B, width), of (B, 3, H, W) images in [0, 1]."""
        projected = self.proj1(self.tokens(images).float())
        return self.proj2((self.alpha.softmax(dim=1) * projected).sum(dim=1))

    def classify(self, embeddings: Tensor) -> Tensor:
        """Compute logits, (B,), of embeddings, (B, width)."""
        return self.head(embeddings).squeeze(1)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, (B,), of (B, 3, H, W) images in [0, 1]."""
        return self.classify(self.embed(images))

    def train(self, mode: bool = True) -> Self:
        """Set the mode; the backbone stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self


def _norms(backbone: Any, name: str) -> list[nn.Module]:
    """List the norms before the MLPs of a ViT's blocks.

    Raises:
        ValueError: If there are none.
    """
    blocks = getattr(backbone, "blocks", [])
    norms = [block.norm2 for block in blocks if hasattr(block, "norm2")]
    if not norms:
        msg = f"{name} has no blocks with class tokens: name a ViT"
        raise ValueError(msg)
    return norms


def _layer(inputs: int, outputs: int, dropout: float) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout)]


def _projection(inputs: int, width: int, layers: int, dropout: float) -> nn.Sequential:
    """Build layers of one width behind a dropout."""
    parts: list[nn.Module] = [nn.Dropout(dropout)]
    for number in range(layers):
        parts += _layer(inputs if number == 0 else width, width, dropout)
    return nn.Sequential(*parts)
