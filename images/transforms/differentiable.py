"""Edits of image tensors that let gradients through.

Images are (B, 3, H, W) float32 in [0, 1]. Edits of 8-bit images are the other modules'.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from images.transforms.geometry import center_window, covering_size


def resize_center_crop(image: Tensor, side: int) -> Tensor:
    """Scale the shorter side, bilinearly with antialiasing, and cut out the middle square.

    Args:
        image: (3, H, W) in [0, 1].
        side: Of the square, in pixels.

    Returns:
        (3, side, side) in [0, 1].
    """
    height, width = image.shape[-2:]
    size = covering_size((height, width), (side, side))
    if size != (height, width):
        image = F.interpolate(image.unsqueeze(0), size, mode="bilinear", antialias=True)[0].clamp(0, 1)
    rows, columns = center_window(size, (side, side))
    return image[:, rows, columns]
