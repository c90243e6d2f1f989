"""Losses, parameter groups and optimizers of detectors' training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.networks import IntermediateProbe, TimmClassifier

TEMPERATURE = 0.07
"""Temperature of the contrastive loss."""


def check_for_network(network: nn.Module, layer_decay: float, contrastive: float) -> None:
    """Refuse settings that are out of range, or not for a network.

    Args:
        network: Network of a detector.
        layer_decay: Factor of the learning rate per layer, above 0.
        contrastive: Weight of the contrastive loss, at least 0.

    Raises:
        ValueError: If a setting is refused.
    """
    if layer_decay <= 0 or contrastive < 0:
        msg = (
            "layer_decay is above 0 and contrastive at least 0, "
            f"got {layer_decay} and {contrastive}"
        )
        raise ValueError(msg)
    if layer_decay != 1 and not isinstance(network, TimmClassifier):
        msg = "layer_decay is for networks of the kind timm; leave it out"
        raise ValueError(msg)
    if contrastive and not isinstance(network, IntermediateProbe):
        msg = "contrastive is for networks of the kind intermediate; leave it out"
        raise ValueError(msg)


def supervised_contrastive(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Compute the supervised contrastive loss (arXiv 2004.11362, its outer sum).

    Args:
        embeddings: (B, D); normalized inside.
        labels: (B,) classes; images that are alone in their class have no term.

    Returns:
        Scalar; 0 if no class has two images.
    """
    normal = F.normalize(embeddings, dim=1)
    others = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    similarity = (normal @ normal.T / TEMPERATURE).masked_fill(~others, -torch.inf)
    log_share = similarity - similarity.logsumexp(dim=1, keepdim=True)
    same = (labels[:, None] == labels) & others
    partners = same.sum(dim=1)
    terms = log_share.where(same, 0.0).sum(dim=1) / partners.clamp(min=1)
    return -terms.sum() / (partners > 0).sum().clamp(min=1)


def make_optimizer(
    settings: Mapping[str, Any], groups: list[dict[str, Any]]
) -> torch.optim.Optimizer:
    """Build the optimizer of a module's hyperparameters."""
    if settings["optimizer"] == "sgd":
        return torch.optim.SGD(groups, lr=settings["lr"], momentum=settings["momentum"])
    kind = torch.optim.AdamW if settings["optimizer"] == "adamw" else torch.optim.Adam
    return kind(groups, lr=settings["lr"])


def decay_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Group trainable parameters: weights with decay, norms and biases without."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    with_decay = [parameter for parameter in trainable if parameter.ndim > 1]
    without_decay = [parameter for parameter in trainable if parameter.ndim <= 1]
    return [
        {"params": with_decay, "weight_decay": weight_decay},
        {"params": without_decay, "weight_decay": 0.0},
    ]


def parameter_groups(detector: nn.Module, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Group trainable parameters by weight decay, and by layer with ``layer_decay``.

    Args:
        detector: Detector, whose network is of timm where ``layer_decay`` is not 1.
        settings: Hyperparameters ``lr``, ``weight_decay`` and ``layer_decay``.

    Returns:
        Groups for an optimizer of PyTorch; those of layers have their own ``lr``.
    """
    if settings["layer_decay"] == 1:
        return decay_groups(detector, settings["weight_decay"])
    from timm.optim import param_groups_layer_decay  # type: ignore[attr-defined]

    network: Any = detector.network.network  # type: ignore[union-attr]
    groups = param_groups_layer_decay(
        network,
        settings["weight_decay"],
        no_weight_decay_list=network.no_weight_decay(),
        layer_decay=settings["layer_decay"],
    )
    return [group | {"lr": settings["lr"] * group.pop("lr_scale")} for group in groups]
