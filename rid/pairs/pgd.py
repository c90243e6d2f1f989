"""Projected gradient ascent (PGD) on images, the slow per-image protection.

RID's generator replaces it and can be trained on its results.
One algorithm serves the published variants. They differ in the objective
(:mod:`rid.pairs.objectives`), in the number of rounds, and in momentum.
The papers state step sizes for images in [-1, 1]; here they are in gray levels of 255.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rid.pairs.config import PGDConfig
from rid.pairs.objective import Objective


def pgd(
    images: Tensor,
    objectives: Sequence[Objective],
    budget: float,
    config: PGDConfig,
    generator: torch.Generator,
    on_step: Callable[[], None] | None = None,
    reference: Tensor | None = None,
) -> Tensor:
    """Protect images by projected gradient ascent.

    Args:
        images: (B, 3, S, S) RGB in [0, 1].
        objectives: One for a whole ensemble, or one per model to attack the models in turn.
        budget: Largest change of a color value, in gray levels of 255.
        config: Steps, step size, momentum, rounds.
        generator: Source of all random draws.
        on_step: Called after each step, for a progress bar.
        reference: Clean images for the objectives to learn from, (n, 3, S, S) in [0, 1]; the images
            themselves if None.

    Returns:
        Protected images in [0, 1], same shape, within the budget.
    """
    bound = budget / 255
    step_size = config.step_size / 255
    # one perturbation per image, or a universal one that visits image after image
    perturbation = torch.zeros_like(images[:1] if config.universal else images)
    batches = images.split(1) if config.universal else [images]
    velocity = torch.zeros_like(perturbation)
    for _ in range(config.outer_steps):
        results = []
        for objective in objectives:
            # each objective starts from the round's perturbation
            objective.start_round(images if reference is None else reference, generator)
            result = perturbation
            for _ in range(config.steps):
                for batch in batches:
                    # signed momentum step, projected onto the budget
                    gradient = _gradient((batch + result).clamp(0, 1), objective, generator)
                    velocity = config.momentum * velocity + gradient
                    result = (result + step_size * velocity.sign()).clamp(-bound, bound)
                    # projection onto valid pixel values
                    if not config.universal:
                        result = (batch + result).clamp(0, 1) - batch
                if on_step is not None:
                    on_step()
            objective.end_round((images + result).clamp(0, 1), generator)
            results.append(result)
        perturbation = torch.stack(results).mean(dim=0)
    return (images + perturbation).clamp(0, 1)


def _gradient(images: Tensor, objective: Objective, generator: torch.Generator) -> Tensor:
    """Compute the gradient, normalized by its mean magnitude per image."""
    with torch.enable_grad():
        images = images.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(objective(images, generator).sum(), images)
    return gradient / gradient.abs().mean(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
