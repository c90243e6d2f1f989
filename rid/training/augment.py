"""Random edits of protected images during training, for robust protection.

They are an addition to the paper, which trains on unedited protected images.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from images.transforms.differentiable import gaussian_blur, jpeg, round_levels, scale_round_trip

MIN_SIGMA = 1e-3
"""Smallest standard deviation of a blur, in pixels."""


@dataclass(frozen=True)
class RobustnessConfig:
    """Random edits; each batch gets one of them, or none.

    Attributes:
        jpeg: Lowest and highest JPEG quality, 1 to 100; None turns JPEG off.
        blur: Largest standard deviation of a Gaussian blur, in pixels; 0 turns it off.
        resize: Smallest scale of a resize down and up again, 0.1 to 1; 1 turns it off.
        rounding: Round to 8 bits after the edit, or after none, with straight-through gradients.

    Raises:
        ValueError: If a value is out of range.
    """

    jpeg: tuple[float, float] | None = (50.0, 95.0)
    blur: float = 0.0
    resize: float = 1.0
    rounding: bool = True

    def __post_init__(self) -> None:
        if self.jpeg is not None and not 1 <= self.jpeg[0] <= self.jpeg[1] <= 100:
            msg = f"jpeg must be the lowest and highest quality, from 1 to 100, got {self.jpeg}"
            raise ValueError(msg)
        if self.blur < 0 or not 0.1 <= self.resize <= 1:
            msg = (
                f"blur must be at least 0 and resize from 0.1 to 1, got {self.blur} and "
                f"{self.resize}"
            )
            raise ValueError(msg)

    def kinds(self) -> list[str]:
        """List the enabled edits."""
        switches = {
            "none": True,
            "jpeg": self.jpeg is not None,
            "blur": self.blur > 0,
            "resize": self.resize < 1,
        }
        return [kind for kind, enabled in switches.items() if enabled]


def edit(images: Tensor, config: RobustnessConfig, generator: torch.Generator | None) -> Tensor:
    """Apply one random differentiable edit to a batch.

    Args:
        images: (B, 3, S, S) in [0, 1].
        config: Enabled edits and their ranges.
        generator: Source of the edit and its strength; the global one if None.

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
