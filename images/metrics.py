"""How far a changed image is from the image, in bounded memory: levels, PSNR, SSIM."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

AMPLIFICATION = 10

BAND = 1 << 22
"""Pixels that are compared at a time; smaller images are compared whole."""

TILE, SSIM_WINDOW, REACH = 2048, 11, 5
"""Sides in pixels of the tiles of a large image and of SSIM's window, and how far that reaches."""


def amplify_change(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Show what changed between two (H, W, 3) images, :data:`AMPLIFICATION` times, around mid grey."""
    change = after.astype(np.int16)
    change -= before
    change *= AMPLIFICATION
    change += 128
    return np.clip(change, 0, 255, out=change).astype(np.uint8)


def psnr(mean_square: float, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error; infinite for an error of 0."""
    return 10 * math.log10(peak**2 / mean_square) if mean_square else math.inf


def max_change_and_psnr(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[int, float | None]:
    """Measure the largest change in grey levels, and PSNR in dB (None for no change).

    Both images are (H, W, 3).
    """
    largest, squares = 0, 0
    step = max(1, BAND // before.shape[1])
    for top in range(0, before.shape[0], step):
        change = before[top : top + step].astype(np.int32)
        change -= after[top : top + step]
        largest = max(largest, int(np.abs(change).max()))
        squares += int(np.square(change, out=change).sum(dtype=np.int64))
    return largest, round(psnr(squares / before.size), 3) if squares else None


def ssim(one: Tensor, two: Tensor) -> float:
    """Structural similarity of two batches, (B, 3, H, W) in [0, 1]; see :func:`ssim_map`."""
    return float(ssim_map(one, two).flatten(1).mean(-1).mean())


def ssim_map(one: Tensor, two: Tensor) -> Tensor:
    """Structural similarity around every pixel of two batches, (B, 3, H, W) in [0, 1].

    Wang et al. 2004 with a Gaussian window of 11 pixels, deviation 1.5, and mirrored borders; equal to torchmetrics' to the bit.
    It is written out here since torchmetrics takes several seconds to import.
    """
    import torch
    import torch.nn.functional as F

    channels = one.shape[1]
    away = torch.arange(SSIM_WINDOW, dtype=one.dtype, device=one.device) - REACH
    weights = torch.exp(-((away / 1.5) ** 2) / 2)
    line = (weights / weights.sum())[None]
    kernel = (line.t() @ line).expand(channels, 1, SSIM_WINDOW, SSIM_WINDOW)
    one, two = (F.pad(images, (REACH,) * 4, mode="reflect") for images in (one, two))
    moments = F.conv2d(torch.cat((one, two, one * one, two * two, one * two)), kernel, groups=channels)
    mean_one, mean_two, square_one, square_two, product_mean = moments.split(one.shape[0])
    means = mean_one * mean_two
    squares = mean_one.pow(2) + mean_two.pow(2)
    variances = (square_one - mean_one.pow(2)).clamp(min=0) + (square_two - mean_two.pow(2)).clamp(min=0)
    covariance = product_mean - means
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * means + c1) * (2 * covariance + c2)) / ((squares + c1) * (variances + c2))


def compare_images(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> dict[str, Any]:
    """Size, largest change, PSNR and SSIM (none below 11 pixels) of two (H, W, 3) images."""
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
    """SSIM of two (H, W, 3) images; of large ones by tiles with margins as far as it reaches."""
    height, width = before.shape[:2]
    if height * width <= BAND:
        return ssim(_tensor(after), _tensor(before))
    total = 0.0
    for top, left in product(range(0, height, TILE), range(0, width, TILE)):
        bottom, right = min(top + TILE, height), min(left + TILE, width)
        high, low = max(0, top - REACH), max(0, left - REACH)
        place = slice(high, bottom + REACH), slice(low, right + REACH)
        inner = (..., slice(top - high, bottom - high), slice(left - low, right - low))
        values = ssim_map(_tensor(after[place]), _tensor(before[place]))[inner]
        total += float(values.double().sum())
    return total / (3 * height * width)


def _tensor(rgb: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) levels as a batch of one, (1, 3, H, W) in [0, 1]."""
    import torch

    return torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 255
