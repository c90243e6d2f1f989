"""Heat maps over whole images, by any detector."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from detectors.detector import Detector
from detectors.forward import CROPS_AT_ONCE
from detectors.networks.patches import local_logits
from images.transforms.crops import Corner, covering
from images.transforms.geometry import resize
from images.transforms.views import as_input, channels_first

MAX_WINDOWS = 256
"""Windows of an image: larger images have less overlap, and the largest have no heat map."""

OVERLAPS = (2, 3 / 2, 1)
"""Sides of a window over the distance of neighbors, the first that gives few enough windows."""

SHOWN_SIDE = 512
"""Longer side of a rendered heat map, in pixels."""


def windows(height: int, width: int, side: int) -> list[Corner]:
    """Place overlapping windows that cover an image; none if that takes too many.

    Args:
        height: Height of the image, in pixels, at least ``side``.
        width: Width of the image, in pixels, at least ``side``.
        side: Side of a window, in pixels.
    """
    for overlap in OVERLAPS:
        corners = covering(height, width, side, max(1, int(side / overlap)))
        if len(corners) <= MAX_WINDOWS:
            return corners
    return []


@torch.no_grad()
def heat_map(detector: Detector, scaled: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Compute P(generated) around every pixel, from windows that slide over an image.

    A pixel has the mean logit of the windows over it, weighted by how central it is to each.
    Networks with patch logits also tell the places within a window apart.

    Args:
        detector: Detector to explain.
        scaled: (H, W, 3) uint8, at the scale of its view; see
            :meth:`images.transforms.views.View.scaled`.

    Returns:
        (H, W) in [0, 1]; None if the image takes more than :data:`MAX_WINDOWS` windows.
    """
    height, width = scaled.shape[:2]
    side = detector.view.size
    corners = windows(height, width, side)
    if not corners:
        return None
    weight = next(detector.parameters())
    ramp = np.minimum(np.arange(side) + 0.5, side - np.arange(side) - 0.5)
    importance = np.outer(ramp, ramp)
    total = np.zeros((height, width))
    weights = np.zeros((height, width))
    for start in range(0, len(corners), CROPS_AT_ONCE):
        part = corners[start : start + CROPS_AT_ONCE]
        squares = np.stack([scaled[top : top + side, left : left + side] for top, left in part])
        batch = as_input(channels_first(squares).to(weight.device)).to(weight.dtype)
        logits = local_logits(detector.network, batch).double().cpu().numpy()
        for (top, left), of_window in zip(part, logits, strict=True):
            place = (slice(top, top + side), slice(left, left + side))
            total[place] += importance * of_window
            weights[place] += importance
    return detector.calibration.probability(total / weights)


def heat_image(rgb: NDArray[np.uint8], detector: Detector) -> NDArray[np.uint8] | None:
    """Render a heat map over a whole image.

    Args:
        rgb: (H, W, 3) uint8.
        detector: Detector to explain.

    Returns:
        (h, w, 3) uint8, brighter where the image looks more generated; None as of
        :func:`heat_map`.
    """
    import matplotlib as mpl

    scaled = detector.view.scaled(rgb)
    heat = heat_map(detector, scaled)
    if heat is None:
        return None
    size = (scaled.shape[0], scaled.shape[1])
    if max(size) > SHOWN_SIDE:
        longer = SHOWN_SIDE / max(size)
        size = (max(1, round(size[0] * longer)), max(1, round(size[1] * longer)))
    levels = resize((heat * 255).round().astype(np.uint8), *size)
    colored = mpl.colormaps["inferno"](levels)[..., :3]
    mixed = 0.45 * resize(scaled, *size) / 255 + 0.55 * colored
    return (mixed * 255).astype(np.uint8)
