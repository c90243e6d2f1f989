"""Projected gradient ascent on pictures: the slow, per-picture protection RID stands in for and learns from.

One algorithm serves the published variants, which differ in what is climbed (:mod:`rid.pairs.objectives`, :mod:`rid.pairs.aspl`), in the
number of rounds, and in momentum. The references state theirs for [-1, 1] pictures; here lengths are in grey levels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from rid.pairs.config import PGDConfig


class Objective(Protocol):
    """Something to raise, one value per picture."""

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """(B, 3, S, S) in [0, 1] to (B,), differentiable; fresh random draws from ``generator`` at every call."""
        ...

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        """Called before a round's steps with the unprotected pictures."""
        return

    def end_round(self, protected: Tensor, generator: torch.Generator) -> None:
        """Called after a round's steps with what they came to."""
        return


def pgd(
    images: Tensor,
    objectives: Sequence[Objective],
    budget: float,
    config: PGDConfig,
    generator: torch.Generator,
    on_step: Callable[[], None] | None = None,
) -> Tensor:
    """Protect pictures by gradient ascent.

    Args:
        images: (B, 3, S, S) RGB in [0, 1].
        objectives: What to raise: one that covers a whole ensemble, or one per model to climb them in turn.
        budget: Largest change of a colour value in grey levels of 255.
        config: Steps, their length, momentum, rounds.
        generator: Source of all random draws.
        on_step: Called after each step, for a progress bar.

    Returns:
        Protected pictures in [0, 1], same shape, within the budget.
    """
    bound, change = budget / 255, torch.zeros_like(images[:1] if config.shared else images)
    velocity = torch.zeros_like(change)
    for _ in range(config.rounds):
        results = []
        for objective in objectives:
            objective.start_round(images, generator)
            result = change
            for _ in range(config.steps):
                for part in images.split(1) if config.shared else [images]:
                    gradient = _gradient((part + result).clamp(0, 1), objective, generator)
                    velocity = config.momentum * velocity + gradient
                    result = (result + config.step_levels / 255 * velocity.sign()).clamp(-bound, bound)
                    if not config.shared:
                        result = (part + result).clamp(0, 1) - part
                if on_step is not None:
                    on_step()
            objective.end_round((images + result).clamp(0, 1), generator)
            results.append(result)
        change = torch.stack(results).mean(dim=0)
    return (images + change).clamp(0, 1)


def _gradient(images: Tensor, objective: Objective, generator: torch.Generator) -> Tensor:
    """Gradient of the objective, each picture's divided by its mean magnitude."""
    with torch.enable_grad():
        images = images.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(objective(images, generator).sum(), images)
    return gradient / gradient.abs().mean(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
