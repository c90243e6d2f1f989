"""How far a changed photo is from the photo."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.image import structural_similarity_index_measure

AMPLIFIED = 10


def amplified(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What changed between two (H, W, 3) pictures, :data:`AMPLIFIED` times as much, around mid grey."""
    return np.clip(128 + float(AMPLIFIED) * (after.astype(np.int16) - before), 0, 255).astype(np.uint8)


def differences(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[int, float | None]:
    """Largest change in grey levels, and PSNR in dB (None where nothing changed), of two (H, W, 3) pictures."""
    difference = before.astype(np.int16) - after.astype(np.int16)
    error = float(np.square(difference, dtype=np.float64).mean())
    return int(np.abs(difference).max()), round(10 * float(np.log10(255**2 / error)), 3) if error else None


def measures(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> dict[str, Any]:
    """Size, largest change, PSNR and SSIM (none below 11 pixels) of two (H, W, 3) pictures."""
    levels, psnr = differences(before, after)
    height, width = before.shape[:2]
    ssim = None
    if min(height, width) >= 11:
        one, two = (torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 255 for rgb in (after, before))
        ssim = round(float(torch.as_tensor(structural_similarity_index_measure(one, two, data_range=1.0))), 5)
    return {"width": width, "height": height, "levels": levels, "psnr": psnr, "ssim": ssim}
