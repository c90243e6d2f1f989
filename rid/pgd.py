"""Projected gradient ascent on the ensemble's denoising loss: the slow, per-picture protection RID stands in for.

As the reference's momentum variant (specified for [-1, 1] pictures), restated in grey levels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rid.ensemble import DiffusionEnsemble


@dataclass(frozen=True)
class PGDConfig:
    """How far and how long to climb.

    Attributes:
        steps: Gradient steps; each draws fresh timesteps and noise and averages the gradient over the ensemble.
        step_levels: Length of a step in grey levels.
        momentum: Decay of the accumulated gradient, normalised by its mean magnitude per picture; 0 uses the plain sign.
    """

    steps: int = 100
    step_levels: float = 0.6
    momentum: float = 0.99


def pgd(
    images: Tensor,
    ensemble: DiffusionEnsemble,
    budget: float,
    config: PGDConfig,
    generator: torch.Generator,
    on_step: Callable[[], None] | None = None,
) -> Tensor:
    """Protect pictures by gradient ascent.

    Args:
        images: (B, 3, S, S) RGB in [0, 1].
        ensemble: Models whose denoising loss is raised.
        budget: Largest change of a colour value in grey levels of 255.
        config: Steps, their length, momentum.
        generator: Source of timesteps and noise.
        on_step: Called after each step, for a progress bar.

    Returns:
        Protected pictures in [0, 1], same shape, within the budget.
    """
    bound, length = budget / 255, config.step_levels / 255
    velocity = torch.zeros_like(images)
    protected = images.clone()
    for _ in range(config.steps):
        with torch.enable_grad():
            protected.requires_grad_(True)
            loss = ensemble.denoising_loss(protected, generator).sum()
            (gradient,) = torch.autograd.grad(loss, protected)
        scale = gradient.abs().mean(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
        velocity = config.momentum * velocity + gradient / scale
        moved = protected.detach() + length * velocity.sign()
        protected = torch.min(torch.max(moved, images - bound), images + bound).clamp(0, 1)
        if on_step is not None:
            on_step()
    return protected
