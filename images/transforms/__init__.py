"""Image edits for training, attacks, robustness tests and retrieval.

Edits of 8-bit images are functions of an (H, W, 3) uint8 array and a NumPy generator; see
:mod:`images.transforms.protocol`. Differentiable edits of tensors are in
:mod:`images.transforms.differentiable`.
"""

from images.transforms.chains import Chain, RandomChain
from images.transforms.histories import RandomHistory
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
    "RandomHistory",
    "edit_generator",
    "flatten_suite",
    "sweep",
]
