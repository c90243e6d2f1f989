"""What a CLIP-like retriever sees of an image."""

from __future__ import annotations

from images.transforms.geometry import cover_crop
from images.transforms.protocol import RGBImage

VIEW_SIDE_PX = 224
"""Input side of CLIP ViT-B/32, ViT-B/16 and ViT-L/14, and of most of their kind."""


def retriever_view(rgb: RGBImage) -> RGBImage:
    """Resize the shorter side to :data:`VIEW_SIDE_PX`, bicubically, and crop the center square.

    Args:
        rgb: (H, W, 3) uint8.

    Returns:
        (224, 224, 3) uint8.
    """
    return cover_crop(rgb, VIEW_SIDE_PX, VIEW_SIDE_PX)
