"""PDQ, a perceptual hash of 256 bits (Facebook, 2019), in NumPy.

The published library has no wheels, so the algorithm is written out: luma, two passes of a box
filter, 64 x 64 samples, and the signs of 16 x 16 DCT coefficients about their median.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from images.transforms.protocol import RGBImage

Hash = NDArray[np.bool_]
"""The 256 bits of an image."""

SAME = 31
"""Hamming distance up to which PDQ's authors call two images copies."""

MIN_QUALITY = 50
"""Quality below which a hash says nothing, because the image is nearly flat; of 100."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in the luma."""

SAMPLES = 64
COEFFICIENTS = 16
QUALITY_SCALE = 90
"""Sum of gradients, in percent of the range, of an image of full quality, per percent."""


def pdq(rgb: RGBImage) -> tuple[Hash, int]:
    """Hash an image (H, W, 3).

    Returns:
        The bits, (256,), in the published library's order, and the quality, 0 to 100; the bits say
        nothing below :data:`MIN_QUALITY`.
    """
    luma = rgb.astype(np.float32) @ np.array(LUMA, np.float32)
    for _ in range(2):
        luma = _box_filter(luma)
    height, width = luma.shape
    rows = ((np.arange(SAMPLES) + 0.5) * height / SAMPLES).astype(int)
    columns = ((np.arange(SAMPLES) + 0.5) * width / SAMPLES).astype(int)
    samples = luma[np.ix_(rows, columns)]
    dct = _dct_rows() @ samples @ _dct_rows().T
    return (dct > np.median(dct)).ravel()[::-1], _quality(samples)


def near_pairs(
    hashes: NDArray[np.bool_], others: NDArray[np.bool_], most: int = SAME
) -> Iterator[tuple[int, int]]:
    """Yield the indices of hashes (N, 256) and (M, 256) that differ in at most ``most`` bits."""
    ones = others.astype(np.float32)
    for index, bits in enumerate(hashes):
        row = bits.astype(np.float32)
        distances = row.sum() + ones.sum(axis=1) - 2 * ones @ row
        for other in np.flatnonzero(distances <= most + 0.5):
            yield index, int(other)


def _box_filter(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average over windows of 1/128 of each side, which shrink at the borders."""
    height, width = luma.shape
    size = (-(-width // (2 * SAMPLES)), -(-height // (2 * SAMPLES)))
    anchor = tuple(side - 1 - side // 2 for side in size)

    def sums(values: NDArray[np.float32]) -> NDArray[np.float32]:
        border = cv2.BORDER_CONSTANT
        summed = cv2.boxFilter(
            values, cv2.CV_32F, size, anchor=anchor, normalize=False, borderType=border
        )
        return np.asarray(summed, np.float32)

    return sums(luma) / sums(np.ones_like(luma))


@lru_cache(maxsize=1)
def _dct_rows() -> NDArray[np.float32]:
    """Return the basis of the lowest coefficients but the mean, (16, 64)."""
    frequency = np.arange(1, COEFFICIENTS + 1)[:, None]
    position = 2 * np.arange(SAMPLES)[None] + 1
    basis = np.sqrt(2 / SAMPLES) * np.cos(np.pi / 2 / SAMPLES * frequency * position)
    return basis.astype(np.float32)


def _quality(samples: NDArray[np.float32]) -> int:
    """Measure the gradients of the samples (64, 64), 0 to 100."""
    gradients = 0
    for axis in (0, 1):
        percent = np.diff(samples, axis=axis) * 100 / 255
        gradients += int(np.abs(np.trunc(percent)).sum())
    return min(100, gradients // QUALITY_SCALE)
