"""How visible a protection is, and how broken the attacker's pictures are."""

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
    """PSNR in dB, SSIM, and the largest change in grey levels, of (B, 3, H, W) pictures in [0, 1].

    PSNR is of the whole set; it is infinite where nothing changed.
    """
    return {
        "psnr": psnr(float((protected - clean).square().mean()), peak=1.0),
        "ssim": ssim(protected, clean),
        "levels": float((to_uint8(protected).short() - to_uint8(clean).short()).abs().max()),
    }


def brisque(images: Tensor) -> float:
    """Mean BRISQUE (Mittal et al. 2012; the ``brisque`` package's model) of (B, 3, H, W) pictures in [0, 1]; higher is worse.

    NaN where the optional package is not installed or scores a picture as not a number.
    """
    if find_spec("brisque") is None:
        return float("nan")
    scorer = _brisque()
    return float(
        np.mean(
            [scorer.score(picture.permute(1, 2, 0).numpy()) for picture in to_uint8(images).cpu()]
        )
    )


@cache
def _brisque() -> Any:
    from brisque import BRISQUE

    return BRISQUE(url=False)


def quantised(images: Tensor) -> Tensor:
    """Pictures as they are after being saved with 8 bits, still in [0, 1]."""
    return to_uint8(images).to(torch.float32) / 255
