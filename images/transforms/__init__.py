"""Edits of images: one suite for training, attacks, robustness sweeps and retrieval.

Edits of 8-bit images are callables on (H, W, 3) uint8 and a NumPy generator, see
:mod:`images.transforms.protocol`. Edits of tensors, which let gradients through, are functions of
:mod:`images.transforms.differentiable`.
"""

from images.transforms.chains import Chain, RandomChain
from images.transforms.protocol import Edit, RGBImage, edit_generator
from images.transforms.suites import PAPER, ROBUSTNESS, SUITES, flatten_suite, sweep

__all__ = [
    "PAPER",
    "ROBUSTNESS",
    "SUITES",
    "Chain",
    "Edit",
    "RGBImage",
    "RandomChain",
    "edit_generator",
    "flatten_suite",
    "sweep",
]
