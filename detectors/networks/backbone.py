"""Backbones of timm: trained end to end, in part, or frozen under a linear layer. It takes seconds to import, so it waits for use."""

from __future__ import annotations

from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation that networks pretrained on ImageNet expect."""


LARGEST_SIDE = 2048


class Normalize(nn.Module):
    """[0, 1] to what a pretrained network expects."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class TimmClassifier(nn.Module):
    """Any classifier of timm with one output; the first stages may stay as they are, as in Sentry (arXiv 2304.13023) and elsewhere.

    Args:
        name: timm's name, such as ``convnext_small.fb_in22k_ft_in1k`` or ``resnet50.tv_in1k``.
        pretrained: Download timm's weights; saved detectors are opened without.
        frozen_stages: How many of the network's stages are not trained, the stem with the first.
        drop_path: Stochastic depth.
        head_std: Deviation of a normal distribution the last layer starts from; timm's own start if None.

    Raises:
        ValueError: If timm has no such network, or it has no stages to freeze.
    """

    def __init__(
        self,
        name: str,
        pretrained: bool = False,
        frozen_stages: int = 0,
        drop_path: float = 0.0,
        head_std: float | None = None,
    ) -> None:
        import timm

        super().__init__()
        check_name(name)
        extra: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
        self.normalize = Normalize(*IMAGENET)
        made: Any = timm.create_model(name, pretrained=pretrained, num_classes=1, **extra)
        self.network = made
        self.frozen = frozen_parts(self.network, name, frozen_stages)
        for part in self.frozen:
            part.requires_grad_(False)
        if head_std is not None:
            head = made.get_classifier()
            nn.init.normal_(head.weight, std=head_std)
            nn.init.zeros_(head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B,)."""
        return self.network(self.normalize(images)).squeeze(1)

    def train(self, mode: bool = True) -> Self:
        """Frozen stages stay in evaluation mode: their statistics and dropout must not move either."""
        super().train(mode)
        for part in self.frozen:
            part.eval()
        return self


def check_name(name: str) -> None:
    """Raise ValueError if timm has no network of a name."""
    import timm

    plain, _, tag = name.partition(".")
    if timm.is_model(plain) and tag and name not in timm.list_pretrained(f"{plain}.*"):
        msg = f"timm has no weights '{tag}' for {plain}; there are {', '.join(timm.list_pretrained(f'{plain}.*'))}"
        raise ValueError(msg)
    if not timm.is_model(plain):
        near = timm.list_models(f"*{name.split('.')[0][:6]}*")[:3]
        msg = f"timm has no network '{name}'" + (
            f"; near are {', '.join(near)}" if near else "; see timm.list_models()"
        )
        raise ValueError(msg)


def frozen_parts(network: nn.Module, name: str, stages: int) -> list[nn.Module]:
    """Stem and first stages of a convolutional network."""
    if stages == 0:
        return []
    of_convnext = list(getattr(network, "stages", []))
    of_resnet = [
        getattr(network, f"layer{index}")
        for index in range(1, 5)
        if hasattr(network, f"layer{index}")
    ]
    found = of_convnext or of_resnet
    if not 0 < stages <= len(found):
        msg = f"frozen_stages is {stages}, but {name} has {len(found)} stages that can be frozen"
        raise ValueError(msg)
    stem = [getattr(network, part) for part in ("stem", "conv1", "bn1") if hasattr(network, part)]
    return [*stem, *found[:stages]]


class LinearProbe(nn.Module):
    """A linear layer on a frozen foundation model: UnivFD (arXiv 2302.10174) on CLIP, or on DINOv2 and its like.

    The model's own mean, deviation and size come with it. Its answers may be kept: see :mod:`detectors.features`.

    Args:
        name: timm's name, such as ``vit_large_patch14_clip_quickgelu_224.openai`` or ``vit_base_patch14_dinov2.lvd142m``.
        pretrained: Download timm's weights; saved detectors are opened without.
        features: ``embedding``: the model's own output, for CLIP what it compares with text; ``pooled``: what comes before it.
        dropout: Before the linear layer.
        size: Side of the pictures, where the model can work at other sizes than its own.
        mean_std: What pictures are normalised by: the model's own, or ImageNet's, as Sentry does even for CLIP.

    Raises:
        ValueError: If timm has no such network, or it has no output of its own.
    """

    def __init__(
        self,
        name: str,
        pretrained: bool = False,
        features: Literal["embedding", "pooled"] = "pooled",
        dropout: float = 0.0,
        size: int | None = None,
        mean_std: Literal["model", "imagenet"] = "model",
    ) -> None:
        import timm

        super().__init__()
        check_name(name)
        extra: dict[str, Any] = {} if features == "embedding" else {"num_classes": 0}
        if size is not None and not 1 <= size <= LARGEST_SIDE:
            msg = f"size is 1 to {LARGEST_SIDE} pixels, got {size}"
            raise ValueError(msg)
        extra |= {} if size is None else {"img_size": size}
        backbone: Any = timm.create_model(name, pretrained=pretrained, **extra)
        self.backbone = backbone.eval().requires_grad_(False)
        width = backbone.num_classes if features == "embedding" else backbone.num_features
        if not width:
            msg = f"{name} has no output of its own: use features: pooled"
            raise ValueError(msg)
        own = (backbone.pretrained_cfg["mean"], backbone.pretrained_cfg["std"])
        self.normalize = Normalize(*(own if mean_std == "model" else IMAGENET))
        self.dropout, self.linear = nn.Dropout(dropout), nn.Linear(width, 1)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """What the linear layer sees, (B, D)."""
        return self.backbone(self.normalize(images))

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B,), of pictures, or of (B, D) features that were kept."""
        features = images if images.ndim == 2 else self.features(images)
        return self.linear(self.dropout(features.float())).squeeze(1)

    def train(self, mode: bool = True) -> Self:
        """The backbone stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self
