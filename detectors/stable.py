"""Further views of an image, on which its verdict must be the same (``--stable``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from detectors.detector import Detector
from detectors.ensemble import Judgement
from images.transforms.codecs import jpeg

CROPS = 4
"""Crops at random positions, beside the center."""

QUALITY = 90
"""JPEG quality of the mild encoding."""

ROUNDS = ("", *["another crop"] * CROPS, f"JPEG {QUALITY}")
"""Change of each view; the first has none."""


def stable_views(detector: Detector, rgb: NDArray[np.uint8]) -> list[Tensor]:
    """Take the views of :data:`ROUNDS`, the same ones in every call.

    Of several crops, another crop is the whole grid elsewhere.

    Args:
        detector: Detector that judges the image.
        rgb: Image, (H, W, 3) uint8.
    """
    views = [detector.view_of(rgb)]
    for number in range(1, CROPS + 1):
        views.append(detector.view_of(rgb, np.random.default_rng(number)))
    return [*views, detector.view_of(jpeg(rgb, QUALITY))]


def stable_judgement(judged: Sequence[Judgement]) -> Judgement:
    """Return the first judgement; "unsure" where a later one has another verdict."""
    first = judged[0]
    for change, other in zip(ROUNDS, judged, strict=False):
        if other.verdict != first.verdict:
            return replace(first, verdict="unsure", reason=f"{other.verdict} after {change}")
    return first
