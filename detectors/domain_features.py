"""Features by which a detector tells images like those of its calibration from others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

THUMBNAIL_SIDE = 8
"""Side of the thumbnail of a view, in pixels."""

SCALES = 4
"""Scales at which the detail of a view is measured, each half as large as the one before."""

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.97)
"""Quantiles of the differences of neighboring pixels."""


def head_of(network: nn.Module) -> nn.Module | None:
    """Return the last layer of a network, whose inputs are its features; None without one."""
    if getattr(network, "without_head", False):
        return None
    classifier = getattr(getattr(network, "network", None), "get_classifier", None)
    if classifier is not None:
        head: nn.Module = classifier()
        return head
    layers = [part for part in network.modules() if isinstance(part, nn.Linear | nn.Conv2d)]
    return layers[-1] if layers else None


@contextmanager
def recorded_features(network: nn.Module) -> Iterator[list[Tensor]]:
    """Record the inputs of a network's last layer, in every forward pass within a block.

    Yields:
        List that is filled with (B, D) features; those of convolutions are means over positions.
    """
    recorded: list[Tensor] = []

    def record(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        features = inputs[0]
        recorded.append(features.mean(dim=(2, 3)) if features.ndim == 4 else features)

    head = head_of(network)
    if head is None:
        yield recorded
        return
    handle = head.register_forward_pre_hook(record)
    try:
        yield recorded
    finally:
        handle.remove()


def view_statistics(views: Tensor) -> Tensor:
    """Describe views by their colors, their detail at several scales, and a thumbnail.

    Args:
        views: (B, 3, H, W) in [0, 1].

    Returns:
        (B, D).
    """
    parts = [views.mean(dim=(2, 3)), views.std(dim=(2, 3))]
    image = views
    for _ in range(SCALES):
        smaller = F.interpolate(image, scale_factor=0.5, mode="area") if _large(image) else image
        restored = F.interpolate(smaller, image.shape[-2:], mode="nearest")
        parts.append(((image - restored).abs().mean(dim=(2, 3)) + 1e-4).log())
        image = smaller
    differences = (views[..., 1:] - views[..., :-1]).abs().mean(dim=1).flatten(1)
    levels = torch.tensor(QUANTILES, device=views.device, dtype=torch.float32)
    quantiles = torch.stack([torch.quantile(row, levels) for row in _sampled(differences)])
    parts.append((quantiles + 1e-3).log())
    parts.append(F.adaptive_avg_pool2d(views, THUMBNAIL_SIDE).flatten(1))
    return torch.cat(parts, dim=1)


def _large(image: Tensor) -> bool:
    """Return True if both sides can be halved."""
    return min(image.shape[-2:]) >= 2


def _sampled(rows: Tensor, most: int = 1_000_000) -> Tensor:
    """Select evenly spaced columns of (B, N) values, which torch's quantiles limit in number."""
    return rows[:, :: -(-rows.shape[1] // most)]
