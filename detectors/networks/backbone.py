"""Backbones of timm, trained or frozen under a linear layer.

timm takes seconds to import and is therefore imported where it is used.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation that networks pretrained on ImageNet expect."""

CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Mean and standard deviation that OpenAI's CLIP expects; DDA uses them even for DINOv2."""

MeanStd = Literal["model", "imagenet", "clip"]
"""Normalization: the model's own, ImageNet's or CLIP's."""

MAX_SIDE = 2048
"""Largest input side, in pixels."""


class Normalize(nn.Module):
    """Normalization of images in [0, 1] for a pretrained network."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class TimmClassifier(nn.Module):
    """Classifier of timm with one output.

    The first stages may be frozen, as in Sentry (arXiv 2304.13023).

    Args:
        name: timm's name, such as ``convnext_small.fb_in22k_ft_in1k`` or ``resnet50.tv_in1k``.
        pretrained: Download timm's weights; saved detectors are opened without.
        frozen_stages: Number of stages that are not trained; the stem belongs to the first.
        drop_path: Stochastic depth rate, in [0, 1].
        head_std: Standard deviation of the last layer's initial weights; timm's initialization if
            None.
        size: Input side in pixels, for models that support other sizes than their default.

    Raises:
        ValueError: If timm has no such network, it has no stages to freeze, or the size is out of
            range.
    """

    def __init__(
        self,
        name: str,
        pretrained: bool = False,
        frozen_stages: int = 0,
        drop_path: float = 0.0,
        head_std: float | None = None,
        size: int | None = None,
    ) -> None:
        import timm

        super().__init__()
        check_name(name)
        extra: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
        extra |= img_size(size)
        self.normalize = Normalize(*IMAGENET)
        network: Any = timm.create_model(name, pretrained=pretrained, num_classes=1, **extra)
        self.network = network
        self.frozen = frozen_parts(self.network, name, frozen_stages)
        for part in self.frozen:
            part.requires_grad_(False)
        if head_std is not None:
            head = network.get_classifier()
            nn.init.normal_(head.weight, std=head_std)
            nn.init.zeros_(head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, (B,), of (B, 3, H, W) images in [0, 1]."""
        return self.network(self.normalize(images)).squeeze(1)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; frozen stages stay in evaluation mode.

        Their batch statistics and dropout must not change either.
        """
        super().train(mode)
        for part in self.frozen:
            part.eval()
        return self


def img_size(size: int | None) -> dict[str, int]:
    """Return timm's setting for an input side in pixels; empty for None.

    Raises:
        ValueError: If the side is out of range.
    """
    if size is not None and not 1 <= size <= MAX_SIDE:
        msg = f"size is 1 to {MAX_SIDE} pixels, got {size}"
        raise ValueError(msg)
    return {} if size is None else {"img_size": size}


def check_name(name: str) -> None:
    """Raise ValueError if timm has no network or no weights of a name."""
    import timm

    network, _, tag = name.partition(".")
    if not timm.is_model(network):
        similar = timm.list_models(f"*{network[:6]}*")[:3]
        hint = f"near are {', '.join(similar)}" if similar else "see timm.list_models()"
        msg = f"timm has no network '{name}'; {hint}"
        raise ValueError(msg)
    if not tag:
        return
    weights = timm.list_pretrained(f"{network}.*")
    if name not in weights:
        msg = f"timm has no weights '{tag}' for {network}; there are {', '.join(weights)}"
        raise ValueError(msg)


def frozen_parts(network: nn.Module, name: str, stages: int) -> list[nn.Module]:
    """List the stem and first stages of a convolutional network.

    Args:
        network: Network of timm: ConvNeXt, ResNet and similar ones.
        name: timm's name, for messages.
        stages: Number of stages; 0 for none, without the stem.

    Raises:
        ValueError: If the network has fewer stages.
    """
    if stages == 0:
        return []
    resnet_stages = _parts(network, ("layer1", "layer2", "layer3", "layer4"))
    available = list(getattr(network, "stages", [])) or resnet_stages
    if not 0 < stages <= len(available):
        msg = (
            f"frozen_stages is {stages}, but {name} has {len(available)} stages that can be frozen"
        )
        raise ValueError(msg)
    return [*_parts(network, ("stem", "conv1", "bn1")), *available[:stages]]


def _parts(network: nn.Module, names: tuple[str, ...]) -> list[nn.Module]:
    """List the submodules that a network has of these."""
    return [getattr(network, name) for name in names if hasattr(network, name)]


def frozen_backbone(
    name: str,
    pretrained: bool,
    features: Literal["embedding", "pooled"],
    size: int | None,
    mean_std: MeanStd,
) -> tuple[nn.Module, int, Normalize]:
    """Open a foundation model of timm, frozen, in evaluation mode.

    Args:
        name: timm's name.
        pretrained: Download timm's weights.
        features: Output: ``embedding`` or ``pooled``; see :class:`LinearProbe`.
        size: Input side in pixels; the model's default if None.
        mean_std: Normalization: the model's, ImageNet's or CLIP's.

    Returns:
        The model, the width of its output, and its normalization.

    Raises:
        ValueError: If timm has no such network, the size is out of range, or the network has no
            output for ``embedding``.
    """
    import timm

    check_name(name)
    extra: dict[str, Any] = {} if features == "embedding" else {"num_classes": 0}
    extra |= img_size(size)
    backbone: Any = timm.create_model(name, pretrained=pretrained, **extra)
    width = backbone.num_classes if features == "embedding" else backbone.num_features
    if not width:
        msg = f"{name} has no output of its own: use features: pooled"
        raise ValueError(msg)
    config = backbone.pretrained_cfg
    own = (config["mean"], config["std"])
    mean, std = {"model": own, "imagenet": IMAGENET, "clip": CLIP}[mean_std]
    return backbone.eval().requires_grad_(False), width, Normalize(mean, std)


class LinearProbe(nn.Module):
    """Linear layer on a frozen foundation model.

    On CLIP it is UnivFD (arXiv 2302.10174).

    The features may be precomputed; see :mod:`detectors.features`.

    Args:
        name: timm's name, such as ``vit_large_patch14_clip_quickgelu_224.openai`` or
            ``vit_base_patch14_dinov2.lvd142m``.
        pretrained: Download timm's weights; saved detectors are opened without.
        features: ``embedding``: the model's output, for CLIP the joint image-text embedding;
            ``pooled``: the pooled features before it.
        dropout: Dropout rate before the linear layer, in [0, 1].
        size: Input side in pixels, for models that support other sizes than their default.
        mean_std: Normalization: the model's, CLIP's or ImageNet's; Sentry has it even for CLIP.

    Raises:
        ValueError: If timm has no such network, the size is out of range, or the network has no
            output for ``embedding``.
    """

    def __init__(
        self,
        name: str,
        pretrained: bool = False,
        features: Literal["embedding", "pooled"] = "pooled",
        dropout: float = 0.0,
        size: int | None = None,
        mean_std: MeanStd = "model",
    ) -> None:
        super().__init__()
        self.backbone, width, self.normalize = frozen_backbone(
            name, pretrained, features, size, mean_std
        )
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, 1)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Compute features, (B, D), of (B, 3, H, W) images in [0, 1]."""
        return self.backbone(self.normalize(images))

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, (B,), of images, or of precomputed features, (B, D)."""
        features = images if images.ndim == 2 else self.features(images)
        return self.linear(self.dropout(features.float())).squeeze(1)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; the backbone stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self
