"""Fidelity of protected images and distortion of generated images."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from images.io import to_uint8
from images.metrics import psnr, ssim


def fidelity(protected: Tensor, clean: Tensor) -> dict[str, float]:
    """PSNR in dB, SSIM, and the largest change in gray levels.

    PSNR is that of the whole set; it is infinite if nothing changed.

    Args:
        protected: (B, 3, H, W) in [0, 1].
        clean: (B, 3, H, W) in [0, 1].
    """
    return {
        "psnr": psnr(float((protected - clean).square().mean()), peak=1.0),
        "ssim": ssim(protected, clean),
        "levels": float((to_uint8(protected).short() - to_uint8(clean).short()).abs().max()),
    }


def brisque(images: Tensor) -> float:
    """Mean BRISQUE (Mittal et al. 2012); higher is worse.

    The model is that of the optional ``brisque`` package. NaN if the package is not installed, or
    if it returns NaN for an image.

    Args:
        images: (B, 3, H, W) in [0, 1].
    """
    if find_spec("brisque") is None:
        return float("nan")
    scorer = _brisque()
    arrays = to_uint8(images).cpu().permute(0, 2, 3, 1).numpy()
    return float(np.mean([scorer.score(array) for array in arrays]))


@cache
def _brisque() -> Any:
    """Load the BRISQUE model once."""
    from brisque import BRISQUE

    return BRISQUE(url=False)


def quantize(images: Tensor) -> Tensor:
    """Round images in [0, 1] to 8 bits, as files do."""
    return to_uint8(images).to(torch.float32) / 255
