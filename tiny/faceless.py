"""Images without a face, as negatives of the toy face detector."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def faceless(images: Tensor, empty: Tensor) -> Tensor:
    """Make images without a face: empty scenes, noise, and portraits beyond recognition.

    Args:
        images: Portraits, (B, 3, S, S) in [0, 1].
        empty: Scenes without a person, same shape.

    Returns:
        B images, an equal share of each kind of :data:`FACELESS`.
    """
    portraits = images.tensor_split(len(FACELESS))
    scenes = empty.tensor_split(len(FACELESS))
    parts = []
    for make, portrait_part, scene_part in zip(FACELESS.values(), portraits, scenes, strict=True):
        if len(portrait_part):
            parts.append(make(portrait_part, scene_part))
    return torch.cat(parts)


def _clouds(images: Tensor) -> Tensor:
    """Draw soft noisy clouds of color."""
    coarse = torch.rand(len(images), 3, 6, 6)
    clouds = F.interpolate(coarse, images.shape[-2:], mode="bicubic")
    return (clouds + 0.15 * torch.randn_like(images)).clamp(0, 1)


def _shuffle_tiles(images: Tensor, tile: int) -> Tensor:
    """Shuffle the square tiles of each image."""
    tiles = F.unfold(images, tile, stride=tile)
    order = torch.rand(len(images), tiles.shape[-1]).argsort(dim=1)
    shuffled = tiles.gather(2, order.unsqueeze(1).expand_as(tiles))
    return F.fold(shuffled, images.shape[-2:], tile, stride=tile)


def _warp(images: Tensor) -> Tensor:
    """Warp images by a smooth random field."""
    coarse = torch.randn(len(images), 2, 7, 7) * 0.28
    field = F.interpolate(coarse, images.shape[-2:], mode="bicubic").permute(0, 2, 3, 1)
    identity_map = torch.eye(2, 3).expand(len(images), -1, -1)
    grid = F.affine_grid(identity_map, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid + field, padding_mode="reflection", align_corners=False)


def _replace_inner_face(images: Tensor, filling: Tensor) -> Tensor:
    """Replace the inner face by another image's texture."""
    side = images.shape[-1]
    axis = torch.linspace(-1, 1, side)
    inside = ((axis.view(-1, 1) / 0.62).square() + (axis.view(1, -1) / 0.52).square() < 1).float()
    return torch.lerp(images, filling.roll(side // 2, dims=-1), inside)


FACELESS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "empty scene": lambda images, scenes: scenes,
    "white noise": lambda images, scenes: torch.rand_like(images),
    "clouds": lambda images, scenes: _clouds(images),
    "small tiles shuffled": lambda images, scenes: _shuffle_tiles(images, 8),
    "large tiles shuffled": lambda images, scenes: _shuffle_tiles(images, 16),
    "buried in noise": lambda images, scenes: 0.25 * images + 0.75 * torch.rand_like(images),
    "blurred away": lambda images, scenes: F.interpolate(
        F.avg_pool2d(images, 16), scale_factor=16.0, mode="bilinear"
    ),
    "warped": lambda images, scenes: _warp(images),
    "inner face replaced": _replace_inner_face,
}
"""Functions from portraits and scenes without a person to images without a face."""
