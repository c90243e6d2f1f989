"""Finders of text in images, as a thief uses them: OCR, or the toy reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from images.transforms import RGBImage
from images.transforms.views import to_tensor
from models.image_text_net import LETTERS, ImageTextNet
from models.ocr import OCR
from sentinels.reader import load_network, reader_name
from sentinels.reader_names import NONE, OCR_READER, SERVICE

LETTER_RADIUS = 0.07
"""Half of a letter's box of the toy reader, as a share of the image's sides."""


@dataclass(frozen=True)
class FoundText:
    """A piece of text in an image.

    Attributes:
        text: The characters.
        corners: (4, 2) float32, x and y in pixels.
    """

    text: str
    corners: NDArray[np.float32]


TextFinder = Callable[[RGBImage], list[FoundText]]
"""Function from an image (H, W, 3) uint8 to the text in it."""


def open_finder(name: str) -> TextFinder:
    """Open a finder of text.

    Args:
        name: ``auto``, ``ocr``, or a folder or Hub id of an :class:`ImageTextNet`.

    Raises:
        OSError: If OCR is not installed, or there are no such weights.
        ValueError: If the name is of another reader, or the weights of another network.
    """
    name = reader_name(name)
    if name in (NONE, SERVICE):
        msg = f"a thief finds text by ocr or by a model's folder, got '{name}'"
        raise ValueError(msg)
    if name == OCR_READER:
        ocr = OCR()
        return lambda rgb: [FoundText(line.text, line.corners) for line in ocr.lines(rgb)]
    network = load_network(name)
    return lambda rgb: letters_by_network(network, rgb)


def letters_by_network(
    network: ImageTextNet, rgb: RGBImage, radius: float = LETTER_RADIUS
) -> list[FoundText]:
    """Find single letters in an (H, W, 3) image by a network.

    Args:
        network: The network.
        rgb: The image.
        radius: Half of a letter's box, as a share of the image's sides, above 0.
    """
    height, width = rgb.shape[:2]
    box = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * radius
    found = []
    for x, y, letter, _ in network.find_letters(to_tensor(rgb).unsqueeze(0))[0]:
        corners = (box + np.array([x, y])) * (width, height)
        found.append(FoundText(LETTERS[letter], corners.astype(np.float32)))
    return found
