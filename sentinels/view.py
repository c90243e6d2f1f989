"""View of a CLIP-like retriever on an image."""

from __future__ import annotations

from images.photo import Photo
from images.transforms.geometry import cover_crop
from images.transforms.protocol import RGBImage

VIEW_SIDE_PX = 224
"""Input side of CLIP ViT-B/32, ViT-B/16 and ViT-L/14, and of most of their kind."""


def retriever_view(photo: Photo) -> RGBImage:
    """Resize the shorter side to :data:`VIEW_SIDE_PX`, bicubically, and crop the center square.

    Transparent parts are shown on white.

    Returns:
        (224, 224, 3) uint8.
    """
    return cover_crop(photo.on_white().rgb, VIEW_SIDE_PX, VIEW_SIDE_PX)
