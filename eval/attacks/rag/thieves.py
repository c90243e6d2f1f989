"""What a thief may do to a stolen collection before a system searches it.

Each takes a picture (H, W, 3) uint8, and returns what is kept of it: a picture, or None where it is thrown away.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from models.image_text_net import ImageTextNet

Levels = NDArray[np.uint8]
Edit = Callable[[Levels], Levels | None]


def jpeg(rgb: Levels, quality: int = 50) -> Levels:
    """Coded at a quality and decoded."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format="JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def halved(rgb: Levels) -> Levels:
    """Scaled to half the side and back."""
    height, width = rgb.shape[:2]
    small = cv2.resize(rgb, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def cropped(rgb: Levels, share: float = 0.8) -> Levels:
    """The middle, at the old size."""
    height, width = rgb.shape[:2]
    top, left = round(height * (1 - share) / 2), round(width * (1 - share) / 2)
    middle = rgb[top : height - top, left : width - left]
    return np.asarray(cv2.resize(middle, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


class Inpainted:
    """Found letters painted over from their surroundings, as in the paper's adaptive attack.

    A reader stands for the OCR, and Telea's method (2004) paints.

    Args:
        network: Finds letters.
        radius: Half a letter's box, as a share of the picture's side.
    """

    def __init__(self, network: ImageTextNet, radius: float = 0.09) -> None:
        self.network, self.radius = network, radius

    def __call__(self, rgb: Levels) -> Levels:
        height, width = rgb.shape[:2]
        mask = np.zeros((height, width), np.uint8)
        for x, y, _, _ in letters_in(self.network, rgb):
            near = (int((x - self.radius) * width), int((y - self.radius) * height))
            far = (int((x + self.radius) * width), int((y + self.radius) * height))
            cv2.rectangle(mask, near, far, 255, -1)
        return np.asarray(cv2.inpaint(rgb, mask, 3, cv2.INPAINT_TELEA), np.uint8) if mask.any() else rgb


class Deleted:
    """Pictures with letters thrown away.

    Args:
        network: Finds letters.
        letters: From how many on.
    """

    def __init__(self, network: ImageTextNet, letters: int = 4) -> None:
        self.network, self.letters = network, letters

    def __call__(self, rgb: Levels) -> Levels | None:
        return None if len(letters_in(self.network, rgb)) >= self.letters else rgb


def letters_in(network: ImageTextNet, rgb: Levels) -> list[tuple[float, float, int, float]]:
    """What :meth:`ImageTextNet.find` finds in one picture."""
    return network.find(torch.from_numpy(rgb.copy()).permute(2, 0, 1).float().unsqueeze(0) / 255)[0]
