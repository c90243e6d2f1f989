"""Further views of an image, on which its verdict must be the same (``--stable``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from detectors.ensemble import Judgement
from images.transforms.codecs import jpeg
from images.transforms.views import View

CROPS = 4
"""Crops at random positions, beside the center."""

QUALITY = 90
"""JPEG quality of the mild encoding."""

ROUNDS = ("", *["another crop"] * CROPS, f"JPEG {QUALITY}")
"""Change of each view; the first has none."""


def stable_views(view: View, rgb: NDArray[np.uint8]) -> list[Tensor]:
    """Take the views of :data:`ROUNDS`, the same ones in every call.

    Args:
        view: View of a detector.
        rgb: Image, (H, W, 3) uint8.
    """
    views = [view(rgb, np.random.default_rng(0))]
    anywhere = replace(view, random=True)
    views += [anywhere(rgb, np.random.default_rng(number)) for number in range(1, CROPS + 1)]
    return [*views, view(jpeg(rgb, QUALITY), np.random.default_rng(0))]


def stable_judgement(judged: Sequence[Judgement]) -> Judgement:
    """Return the first judgement; "unsure" where a later one has another verdict."""
    first = judged[0]
    for change, other in zip(ROUNDS, judged, strict=False):
        if other.verdict != first.verdict:
            return replace(first, verdict="unsure", reason=f"{other.verdict} after {change}")
    return first
