"""Frozen ViT with low-rank adapters (LoRA, arXiv 2106.09685) under a linear layer."""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn

from detectors.networks.backbone import MeanStd, frozen_backbone

TARGETS = r"blocks\.\d+\.(attn\.(qkv|proj)|mlp\.(fc1|fc2))"
"""Layers that have adapters: those of attention and of the MLPs, as in DDA (arXiv 2505.14359)."""

MAX_RANK = 256
"""Largest rank of an adapter."""


class AdaptedProbe(nn.Module):
    """Linear layer on a foundation model whose layers have trainable low-rank adapters.

    Args:
        name: timm's name of a ViT, such as ``vit_large_patch14_dinov2.lvd142m``,
            ``vit_large_patch16_dinov3.lvd1689m`` or ``vit_large_patch14_clip_224.openai``.
        pretrained: Download timm's weights; saved detectors are opened without.
        rank: Rank of the adapters, 1 to 256.
        alpha: Scale of the adapters is alpha / rank; above 0.
        dropout: Dropout rate before the linear layer, in [0, 1].
        size: Input side in pixels, for models that support other sizes than their default.
        mean_std: Normalization: the model's, ImageNet's or CLIP's.

    Raises:
        ValueError: If timm has no such network, it has no layers for adapters, or a number is out
            of range.
    """

    def __init__(
        self,
        name: str,
        pretrained: bool = False,
        rank: int = 8,
        alpha: float = 8.0,
        dropout: float = 0.0,
        size: int | None = None,
        mean_std: MeanStd = "model",
    ) -> None:
        from peft import LoraConfig, inject_adapter_in_model  # takes seconds

        super().__init__()
        if not 1 <= rank <= MAX_RANK or alpha <= 0:
            msg = f"rank is 1 to {MAX_RANK} and alpha above 0, got {rank} and {alpha}"
            raise ValueError(msg)
        backbone, width, self.normalize = frozen_backbone(
            name, pretrained, "pooled", size, mean_std
        )
        for part in backbone.modules():
            if hasattr(part, "qkv_bias_separate"):
                # otherwise DINOv3's attention reads the weights of qkv and passes its adapter by
                part.qkv_bias_separate = True  # type: ignore[assignment]
        config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=TARGETS)
        try:
            self.backbone = inject_adapter_in_model(config, backbone)
        except ValueError as error:
            msg = f"{name} has no layers for adapters, which are those of a ViT: {error}"
            raise ValueError(msg) from error
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, (B,), of (B, 3, H, W) images in [0, 1]."""
        features = self.backbone(self.normalize(images))
        return self.linear(self.dropout(features.float())).squeeze(1)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; the backbone stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self
