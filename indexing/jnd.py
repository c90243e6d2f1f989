"""Just noticeable difference (JND): largest invisible change per pixel.

Luminance adaptation and contrast masking of Wu et al., "Enhanced just noticeable difference model
for images with pattern complexity" (2017), as used by active image indexing (arXiv 2210.10620,
section 4.2).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Padding = Literal["zeros", "reflect"]

LUMA = (0.299, 0.587, 0.114)
FLOOR = 5.0
"""Smallest JND, in gray levels of 255."""

_SURROUND = [[1.0, 1, 1, 1, 1], [1, 2, 2, 2, 1], [1, 2, 0, 2, 1], [1, 2, 2, 2, 1], [1, 1, 1, 1, 1]]
_SOBEL = [[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]


def just_noticeable_difference(images: Tensor, padding: Padding = "zeros") -> Tensor:
    """Compute the JND of each pixel.

    Args:
        images: (B, 3, H, W) or (3, H, W) RGB in [0, 1].
        padding: ``zeros`` as in the paper's programs, which treats the image border as a strong
            edge; ``reflect`` does not, and needs sides of at least 3 pixels.

    Returns:
        (B, 1, H, W) or (1, H, W) in [0, 1], where 1 is 255 gray levels; at least :data:`FLOOR`
        levels.
    """
    if images.ndim == 3:
        return just_noticeable_difference(images.unsqueeze(0), padding)[0]
    luma = 255 * torch.einsum("c,bchw->bhw", images.new_tensor(LUMA), images).unsqueeze(1)
    background = _filtered(luma, torch.tensor(_SURROUND), padding) / 32
    dark = 17 * (1 - (background / 127 + 0.001).sqrt()) + 3
    luminance = torch.where(background <= 127, dark, 3 / 128 * (background - 127) + 3)
    sobel = torch.tensor(_SOBEL)
    gradient = (
        _filtered(luma, sobel, padding).square() + _filtered(luma, sobel.T, padding).square()
    ).sqrt()
    contrast = 0.117 * 16 * gradient.pow(2.4) / (gradient.square() + 26**2)
    both = luminance + contrast - 0.3 * torch.minimum(luminance, contrast)
    return both.clamp_min(FLOOR) / 255


def _filtered(luma: Tensor, kernel: Tensor, padding: Padding) -> Tensor:
    room = len(kernel) // 2
    padded = F.pad(luma, [room] * 4, mode="constant" if padding == "zeros" else "reflect")
    return F.conv2d(padded, kernel.to(luma)[None, None])
