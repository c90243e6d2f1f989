"""Edits of a thief who expects sentinels."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from eval.attacks.rag.text_finders import TextFinder
from images.transforms import Chain, RGBImage
from images.transforms.codecs import JPEG
from images.transforms.geometry import CenterCropResize, DownUp

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
    """Inpaints text, as in the paper's adaptive attack (arXiv 2510.12119).

    The inpainting is Telea's method (2004).

    Args:
        finder: Finds text.
        margin: Border around a piece of text that is inpainted, too, as a share of its shorter
            side, at least 0.
    """

    def __init__(self, finder: TextFinder, margin: float = 0.15) -> None:
        self.finder, self.margin = finder, margin

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        mask = np.zeros(rgb.shape[:2], np.uint8)
        for found in self.finder(rgb):
            sides = np.linalg.norm(np.diff(found.corners, axis=0), axis=1)
            border = int(np.ceil(2 * self.margin * sides.min()))
            corners = np.round(found.corners).astype(np.int32)
            cv2.fillConvexPoly(mask, corners, 255)
            if border:
                cv2.polylines(mask, [corners], True, 255, border)
        if not mask.any():
            return rgb
        return np.asarray(cv2.inpaint(rgb, mask, 3, cv2.INPAINT_TELEA), np.uint8)


class DropTextImages:
    """Drops images that show text.

    Args:
        finder: Finds text.
        letters: Least number of letters of a dropped image, at least 0.
    """

    def __init__(self, finder: TextFinder, letters: int = 4) -> None:
        self.finder, self.letters = finder, letters

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage | None:
        text = "".join(found.text for found in self.finder(rgb))
        return None if sum(map(str.isalpha, text)) >= self.letters else rgb
