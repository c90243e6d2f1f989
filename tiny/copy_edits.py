"""Random edits of the toy copy-detection network's training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from images.io import to_rgb
from images.transforms.codecs import jpeg
from images.transforms.views import to_tensor


def random_edit(images: Tensor, side: int) -> Tensor:
    """Edit images as copies on the web are: rotated, framed, recolored, blurred, compressed.

    Args:
        images: (B, 3, H, W) in [0, 1].
        side: Side of the result in pixels.

    Returns:
        (B, 3, side, side) in [0, 1].
    """
    count = len(images)
    views = _change_geometry(images, side)
    views = _change_colors(views)
    # Blur three in ten, half of them twice.
    blurred = _blur(views)
    blurred = torch.where(random_mask(count, 0.5), _blur(blurred), blurred)
    views = torch.where(random_mask(count, 0.3), blurred, views)
    # Compress three in ten.
    for index in torch.nonzero(torch.rand(count) < 0.3).flatten().tolist():
        views[index] = _compress(views[index], quality=int(torch.randint(25, 90, ())))
    return views


def random_mask(count: int, share: float) -> Tensor:
    """Draw a mask (count, 1, 1, 1) that is true for a share of the images."""
    return torch.rand(count, 1, 1, 1) < share


def _blur(images: Tensor) -> Tensor:
    """Average 3x3 pixels."""
    return F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), 3, stride=1)


def _change_geometry(images: Tensor, side: int) -> Tensor:
    """Rotate, mirror, crop and stretch images at random; frame one in five."""
    count = len(images)
    # Draw the parameters.
    angle = (torch.rand(count) * 2 - 1) * 0.6 * (torch.rand(count) < 0.4)
    angle = angle + (torch.randint(0, 4, (count,)) * (torch.rand(count) < 0.25)) * (torch.pi / 2)
    scale = 1 - (1 - 0.5 * torch.rand(count)) * 0.5 * (torch.rand(count) < 0.5)
    framed = torch.rand(count) < 0.2
    scale = torch.where(framed, 1 + torch.rand(count), scale)
    stretch = torch.exp((torch.rand(count) * 2 - 1) * 0.3 * (torch.rand(count) < 0.2))
    mirror = 1 - 2.0 * (torch.rand(count) < 0.15)
    room = (scale - 1).abs().unsqueeze(1)
    shift = (torch.rand(count, 2) * 2 - 1) * room
    # Sample the images through an affine map, over a random background.
    cos = torch.cos(angle) * scale
    sin = torch.sin(angle) * scale
    rows = [
        torch.stack([cos * stretch * mirror, -sin, shift[:, 0]], 1),
        torch.stack([sin * stretch * mirror, cos, shift[:, 1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [count, 3, side, side], align_corners=False)
    soft = F.interpolate(images, scale_factor=0.75, mode="bilinear", antialias=True)
    ground = torch.rand(count, 3, 1, 1).round() * random_mask(count, 0.7)
    return F.grid_sample(soft - ground, grid, align_corners=False) + ground


def _change_colors(images: Tensor) -> Tensor:
    """Change contrast, brightness, hue and saturation at random."""
    count = len(images)

    def factor(spread: float, share: float) -> Tensor:
        return torch.exp((torch.rand(count, 1, 1, 1) * 2 - 1) * spread * random_mask(count, share))

    # Contrast and brightness.
    gray = images.mean(dim=(1, 2, 3), keepdim=True)
    images = (gray + (images - gray) * factor(0.75, 0.4)).clamp(0, 1)
    images = (images * factor(0.75, 0.4)).clamp(0, 1)
    # Hue: a rotation about the gray axis.
    turn = (torch.rand(count) * 2 - 1) * 1.4 * (torch.rand(count) < 0.3)
    cos = torch.cos(turn).view(-1, 1, 1)
    third = (1 - torch.cos(turn)).view(-1, 1, 1) / 3
    side = torch.sin(turn).view(-1, 1, 1) / 3**0.5
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    rotation = cos * torch.eye(3) + third + side * cross
    images = torch.einsum("bij,bjhw->bihw", rotation, images)
    # Saturation; eight in a hundred become gray.
    gray = images.mean(dim=1, keepdim=True)
    saturation = factor(0.9, 0.2) * ~random_mask(count, 0.08)
    return (gray + (images - gray) * saturation).clamp(0, 1)


def _compress(image: Tensor, quality: int) -> Tensor:
    """Encode as JPEG with red and blue swapped, as in the shipped network's training."""
    bgr = to_rgb(image.flip(0))
    return to_tensor(jpeg(bgr, quality)).flip(0)
