"""Random edits of photographs for the training of copy detection."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from images.io import to_uint8
from images.transforms.chains import PRIMITIVES, RandomChain
from images.transforms.geometry import resize
from images.transforms.protocol import RGBImage
from images.transforms.views import to_tensor
from images.transforms.warps import Rotation

PAGE_SHARE = 0.3
"""Share of edits that put the image on a page."""

ROTATION_SHARE = 0.15
"""Share of edits that rotate the image, half of them by quarter turns."""


def random_copies(images: Tensor, side: int) -> Tensor:
    """Edit images as people do who publish them again.

    An image is put on a random page, rotated, or changed by a random chain of active indexing
    without its web and mobile pages, which the evaluation asks for.

    Args:
        images: (B, 3, H, W) in [0, 1].
        side: Side of the result in pixels.

    Returns:
        (B, 3, side, side) in [0, 1].
    """
    rng = np.random.default_rng(int(torch.randint(2**62, ())))
    copies = []
    for pixels in to_uint8(images).permute(0, 2, 3, 1).numpy():
        copies.append(to_tensor(resize(_random_copy(pixels, rng), side, side, "bilinear")))
    return torch.stack(copies)


def _random_copy(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Edit one image."""
    kind = rng.uniform()
    if kind < PAGE_SHARE:
        return on_a_page(rgb, rng)
    if kind < PAGE_SHARE + ROTATION_SHARE:
        quarters = rng.uniform() < 0.5
        degrees = rng.choice([90, 180, 270]) if quarters else rng.uniform(-45, 45)
        return Rotation(float(degrees))(rgb, rng)
    names = RandomChain().draw(rng)
    for name in names:
        if name != "framed":
            rgb = PRIMITIVES[name](rgb, rng)
    return rgb


def on_a_page(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Show an image at 0.3 to 0.8 of its sides on a larger page of random boxes."""
    height, width = rgb.shape[:2]
    share = rng.uniform(0.3, 0.8)
    tall, wide = max(8, round(height * share)), max(8, round(width * share))
    page_size = (
        max(tall + 2, round(height * rng.uniform(1, 1.4))),
        max(wide + 2, round(width * rng.uniform(1, 2.2))),
    )
    ground = rng.integers(0, 256, 3) if rng.uniform() < 0.3 else rng.integers(225, 256)
    page = np.full((*page_size, 3), ground, np.uint8)
    for _ in range(rng.integers(0, 14)):
        top, left = rng.integers(page_size[0]), rng.integers(page_size[1])
        box = slice(top, top + rng.integers(4, 60)), slice(left, left + rng.integers(8, 200))
        page[box] = rng.integers(0, 256, 3)
    top, left = rng.integers(page_size[0] - tall), rng.integers(page_size[1] - wide)
    if rng.uniform() < 0.3:
        frame = slice(max(0, top - 20), top + tall + 20), slice(max(0, left - 40), left + wide + 40)
        page[frame] = rng.integers(0, 256)
    page[top : top + tall, left : left + wide] = resize(rgb, tall, wide, "bilinear")
    return page
