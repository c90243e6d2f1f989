"""Image comparison in bounded memory: largest change, PSNR and SSIM."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

AMPLIFICATION = 10
"""Factor of :func:`amplify_change`."""

BAND_PIXELS = 1 << 22
"""Pixels compared at a time; smaller images are compared whole."""

TILE_SIDE = 2048
"""Side of the tiles of a large image, in pixels."""

SSIM_WINDOW = 11
"""Side of SSIM's window, in pixels."""

SSIM_MARGIN = SSIM_WINDOW // 2
"""Distance from the center of SSIM's window to its border, in pixels."""


def amplify_change(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Render the amplified change between two (H, W, 3) uint8 images around gray."""
    change = after.astype(np.int16)
    change -= before
    change *= AMPLIFICATION
    change += 128
    return np.clip(change, 0, 255, out=change).astype(np.uint8)


def psnr(mean_square: float, peak: float = 255.0) -> float:
    """Compute the peak signal-to-noise ratio in dB; infinite for an error of 0.

    Args:
        mean_square: Mean squared error.
        peak: Largest value.
    """
    return 10 * math.log10(peak**2 / mean_square) if mean_square else math.inf


def max_change_and_psnr(
    before: NDArray[np.uint8], after: NDArray[np.uint8]
) -> tuple[int, float | None]:
    """Measure the largest change and the PSNR of two (H, W, 3) uint8 images.

    Returns:
        L-infinity distance in gray levels of 255, and PSNR in dB; None without a change.
    """
    largest = 0
    squares = 0
    step = max(1, BAND_PIXELS // before.shape[1])
    for top in range(0, before.shape[0], step):
        change = before[top : top + step].astype(np.int32)
        change -= after[top : top + step]
        largest = max(largest, int(np.abs(change).max()))
        squares += int(np.square(change, out=change).sum(dtype=np.int64))
    return largest, round(psnr(squares / before.size), 3) if squares else None


def ssim(one: Tensor, two: Tensor) -> float:
    """Compute the mean SSIM of two batches, (B, 3, H, W) in [0, 1]."""
    return float(ssim_map(one, two).flatten(1).mean(-1).mean())


def ssim_map(one: Tensor, two: Tensor) -> Tensor:
    """Compute the SSIM at every pixel of two batches, (B, 3, H, W) in [0, 1].

    Wang et al. 2004, with a Gaussian window of 11 pixels, standard deviation 1.5, and mirrored
    borders. Values equal torchmetrics' to the bit; torchmetrics takes several seconds to import.
    """
    import torch
    import torch.nn.functional as F

    # Build the Gaussian window.
    channels = one.shape[1]
    distances = torch.arange(SSIM_WINDOW, dtype=one.dtype, device=one.device) - SSIM_MARGIN
    weights = torch.exp(-((distances / 1.5) ** 2) / 2)
    line = (weights / weights.sum())[None]
    kernel = (line.t() @ line).expand(channels, 1, SSIM_WINDOW, SSIM_WINDOW)
    # Compute local means of values, squares and products.
    one = F.pad(one, (SSIM_MARGIN,) * 4, mode="reflect")
    two = F.pad(two, (SSIM_MARGIN,) * 4, mode="reflect")
    stacked = torch.cat((one, two, one * one, two * two, one * two))
    moments = F.conv2d(stacked, kernel, groups=channels)
    mean_one, mean_two, square_one, square_two, product_mean = moments.split(one.shape[0])
    # Combine them to the similarity.
    means = mean_one * mean_two
    squares = mean_one.pow(2) + mean_two.pow(2)
    variance_one = (square_one - mean_one.pow(2)).clamp(min=0)
    variance_two = (square_two - mean_two.pow(2)).clamp(min=0)
    variances = variance_one + variance_two
    covariance = product_mean - means
    c1 = 0.01**2
    c2 = 0.03**2
    return ((2 * means + c1) * (2 * covariance + c2)) / ((squares + c1) * (variances + c2))


def compare_images(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> dict[str, Any]:
    """Compare two (H, W, 3) uint8 images.

    Returns:
        Columns of a job's table: ``width`` and ``height`` in pixels, ``levels`` (largest change in
        gray levels of 255), ``psnr`` in dB (None without a change) and ``ssim`` (None if a side is
        below 11 pixels).
    """
    levels, decibels = max_change_and_psnr(before, after)
    height, width = before.shape[:2]
    similarity = None if min(height, width) < SSIM_WINDOW else round(_tiled_ssim(before, after), 5)
    return {
        "width": width,
        "height": height,
        "levels": levels,
        "psnr": decibels,
        "ssim": similarity,
    }


def _tiled_ssim(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """Compute the SSIM of two (H, W, 3) images; tiled for large images."""
    # Compare small images whole.
    height, width = before.shape[:2]
    if height * width <= BAND_PIXELS:
        return ssim(_tensor(after), _tensor(before))
    # Sum over tiles, each computed with a margin of half a window.
    total = 0.0
    for top, left in product(range(0, height, TILE_SIDE), range(0, width, TILE_SIDE)):
        bottom = min(top + TILE_SIDE, height)
        right = min(left + TILE_SIDE, width)
        outer_top = max(0, top - SSIM_MARGIN)
        outer_left = max(0, left - SSIM_MARGIN)
        outer = slice(outer_top, bottom + SSIM_MARGIN), slice(outer_left, right + SSIM_MARGIN)
        inner_rows = slice(top - outer_top, bottom - outer_top)
        inner_columns = slice(left - outer_left, right - outer_left)
        similarity = ssim_map(_tensor(after[outer]), _tensor(before[outer]))
        values = similarity[..., inner_rows, inner_columns]
        total += float(values.double().sum())
    return total / (3 * height * width)


def _tensor(rgb: NDArray[np.uint8]) -> Tensor:
    """Convert an (H, W, 3) uint8 image to (1, 3, H, W) in [0, 1]."""
    import torch

    return torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 255
