"""Center squares of images as tensors, in bounded memory."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from images.io import VALUES_AT_ONCE
from images.photo import Photo
from images.transforms.differentiable import resize
from images.transforms.geometry import covering_size, limit_aspect
from images.transforms.windows import center_window


def center_square(rgb: NDArray[np.uint8], side: int) -> Tensor:
    """Resize the shorter side, bilinearly in floating point, and crop the center square.

    Rows are resized in strips: large photos never stand in memory as floating-point numbers. Of
    images longer than a hundred times their width, the middle part is taken.

    Args:
        rgb: (H, W, 3) uint8.
        side: Side of the square, in pixels.

    Returns:
        (3, side, side) float32 in [0, 1].

    Raises:
        ValueError: If the side is below 1.
    """
    if side < 1:
        msg = f"the size of an image's square is at least 1 pixel, got {side}"
        raise ValueError(msg)
    photo = Photo(limit_aspect(rgb))
    height, width = photo.rgb.shape[:2]
    size = covering_size((height, width), (side, side))
    rows, columns = center_window(size, (side, side))

    # Horizontally first, as torch does: no row depends on another.
    at_once = max(1, VALUES_AT_ONCE // (3 * max(width, size[1])))
    strips = []
    for top in range(0, height, at_once):
        strip = photo.tensor(slice(top, top + at_once)).unsqueeze(0)
        resized = resize(strip, strip.shape[-2], size[1])
        strips.append(resized[..., columns].clone())  # a view would keep the whole strip

    # Then vertically, in the columns of the square alone.
    whole = resize(torch.cat(strips, dim=2), size[0], side)
    return whole[0, :, rows].clamp(0, 1)
