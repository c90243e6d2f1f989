"""Alignment of reconstructions with their originals in pixels and frequencies, as in DDA.

Reconstructions restore high frequencies that JPEG took from the original, which a detector can
learn in place of the autoencoder's traces. DDA (arXiv 2505.14359) compresses some of them like
their original and mixes some with it. Shares and probabilities are those of its released training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from images.transforms.codecs import jpeg

JPEG_PROBABILITY = 0.5
"""Share of reconstructions that are compressed like their original."""

UNKNOWN_QUALITY = 96
"""JPEG quality where the original is no JPEG."""

MIX_PROBABILITY = 0.2
"""Share of reconstructions that are mixed; the same for pixels and for frequencies."""

MAX_MIX = 0.8
"""Largest weight: of the reconstruction in a pixel mix, of the original in a frequency mix."""


@dataclass(frozen=True)
class Aligned:
    """A reconstruction after alignment.

    Attributes:
        rgb: (H, W, 3) uint8.
        facts: JPEG quality and weight of the original, for the sample's record.
    """

    rgb: NDArray[np.uint8]
    facts: dict[str, Any]


def record_generator(record: dict[str, Any], seed: int) -> np.random.Generator:
    """Make a generator that depends on a seed and on the hash of an original alone."""
    return np.random.default_rng([seed, int(record["sha256"][:16], 16)])


def align(
    original: NDArray[np.uint8],
    made: NDArray[np.uint8],
    record: dict[str, Any],
    draws: np.random.Generator,
) -> Aligned:
    """Compress a reconstruction like its original, and mix it with it, both at random.

    A frequency mix weights all coefficients of the image's DCT alike, which is linear. It equals a
    mix of the pixels with these weights, and is computed as one.

    Args:
        original: (H, W, 3) uint8.
        made: Its reconstruction, (H, W, 3) uint8.
        record: Record of the original, with ``jpeg_quality`` and ``chroma``.
        draws: Generator of all choices.
    """
    # compress
    quality = None
    if draws.random() < JPEG_PROBABILITY:
        quality = record["jpeg_quality"] or UNKNOWN_QUALITY
        made = jpeg(made, quality, record["chroma"] or "4:2:0")
    # weight of the original after a mix of pixels and one of frequencies
    kept = 1.0
    if draws.random() < MIX_PROBABILITY:
        kept *= draws.uniform(0, MAX_MIX)
    if draws.random() < MIX_PROBABILITY:
        kept *= 1 - draws.uniform(0, MAX_MIX)
    if kept < 1:
        mixed = kept * made.astype(np.float32) + (1 - kept) * original.astype(np.float32)
        made = np.rint(mixed).astype(np.uint8)
    return Aligned(made, {"aligned_quality": quality, "original_weight": round(1 - kept, 6)})
