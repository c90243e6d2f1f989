"""Edits between the generator and the models, so that the protection learns to survive them.

Beyond the paper, whose training hands the perturbed image to the models as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from images.transforms.differentiable import gaussian_blur, jpeg, round_levels, scale_round_trip

MIN_SIGMA = 1e-3
"""Of a drawn blur, in pixels."""


@dataclass(frozen=True)
class RobustnessConfig:
    """Edits that a batch may meet; one of them, or none, is drawn for each batch.

    Attributes:
        jpeg: Lowest and highest JPEG quality, 1 to 100; None leaves JPEG out.
        blur: Largest standard deviation of a Gaussian blur, in pixels; 0 leaves it out.
        resize: Smallest scale of a resize down and up again, 0.1 to 1; 1 leaves it out.
        rounding: Round to 8 bits after the edit, and after none; gradients pass straight through.
    """

    jpeg: tuple[float, float] | None = (50.0, 95.0)
    blur: float = 0.0
    resize: float = 1.0
    rounding: bool = True

    def __post_init__(self) -> None:
        if self.jpeg is not None and not 1 <= self.jpeg[0] <= self.jpeg[1] <= 100:
            msg = f"jpeg is a lowest and a highest quality from 1 to 100, got {self.jpeg}"
            raise ValueError(msg)
        if self.blur < 0 or not 0.1 <= self.resize <= 1:
            got = f"got {self.blur} and {self.resize}"
            msg = f"blur must be at least 0 and resize from 0.1 to 1, {got}"
            raise ValueError(msg)

    def kinds(self) -> list[str]:
        """List the edits that are switched on."""
        switches = {
            "none": True,
            "jpeg": self.jpeg is not None,
            "blur": self.blur > 0,
            "resize": self.resize < 1,
        }
        return [kind for kind, on in switches.items() if on]


def edit(images: Tensor, config: RobustnessConfig, generator: torch.Generator | None) -> Tensor:
    """Apply one random edit to the whole batch, differentiably.

    Args:
        images: (B, 3, S, S) in [0, 1].
        config: The edits.
        generator: Draws the kind and the strength.

    Returns:
        (B, 3, S, S) in [0, 1].
    """
    kinds = config.kinds()
    kind = kinds[int(torch.randint(len(kinds), (), generator=generator))]
    strength = float(torch.rand((), generator=generator))
    if kind == "jpeg" and config.jpeg is not None:
        lowest, highest = config.jpeg
        images = jpeg(images, lowest + strength * (highest - lowest))
    elif kind == "blur":
        images = gaussian_blur(images, max(strength * config.blur, MIN_SIGMA))
    elif kind == "resize":
        images = scale_round_trip(images, config.resize + strength * (1 - config.resize))
    images = images.clamp(0, 1)
    return round_levels(images) if config.rounding else images
