"""Adaptive attacks of a thief who expects sentinels."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from images.transforms import Chain, RGBImage
from images.transforms.codecs import JPEG
from images.transforms.geometry import CenterCropResize, DownUp
from images.transforms.views import to_tensor
from models.image_text_net import ImageTextNet

Attack = Callable[[RGBImage, np.random.Generator], RGBImage | None]
"""An edit, see :data:`images.transforms.Edit`, that may also drop the image by returning None."""

TRANSPARENT: dict[str, Attack] = {
    "none": Chain(()),
    "jpeg": JPEG(50),
    "halved": DownUp(0.5),
    "cropped": CenterCropResize(0.8),
}
"""Attacks that ignore letters, by name; each keeps the image's size."""


class InpaintText:
    """Inpaints letters, as in the paper's adaptive attack (arXiv 2510.12119).

    A reader replaces the OCR. The inpainting is Telea's method (2004).

    Args:
        network: Network that finds letters.
        radius: Half of a letter's box, as a share of the image's sides, above 0.
    """

    def __init__(self, network: ImageTextNet, radius: float = 0.09) -> None:
        self.network, self.radius = network, radius

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        height, width = rgb.shape[:2]
        mask = np.zeros((height, width), np.uint8)
        for x, y, _, _ in find_letters(self.network, rgb):
            near = (int((x - self.radius) * width), int((y - self.radius) * height))
            far = (int((x + self.radius) * width), int((y + self.radius) * height))
            cv2.rectangle(mask, near, far, 255, -1)
        if not mask.any():
            return rgb
        return np.asarray(cv2.inpaint(rgb, mask, 3, cv2.INPAINT_TELEA), np.uint8)


class DropTextImages:
    """Drops images that show letters.

    Args:
        network: Network that finds letters.
        letters: Least number of letters of a dropped image, at least 0.
    """

    def __init__(self, network: ImageTextNet, letters: int = 4) -> None:
        self.network, self.letters = network, letters

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage | None:
        return None if len(find_letters(self.network, rgb)) >= self.letters else rgb


def find_letters(network: ImageTextNet, rgb: RGBImage) -> list[tuple[float, float, int, float]]:
    """Find the letters in an (H, W, 3) image.

    See :meth:`ImageTextNet.find_letters`.
    """
    return network.find_letters(to_tensor(rgb).unsqueeze(0))[0]
