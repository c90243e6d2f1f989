"""The arms of a protection study: the same pictures, protected in different ways at one budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from eval.metrics.quality import quantize
from images.io import clamp_to_budget
from rid.ensemble import DiffusionEnsemble
from rid.generator import PerturbationGenerator
from rid.pairs.config import PGDConfig
from rid.pairs.objectives import Denoising
from rid.pairs.pgd import pgd
from rid.protect.protector import Protector
from rid.protect.windows import Fit

ARMS = ("clean", "noise", "rid", "rid_tile", "pgd")
"""No protection; uniform random noise; the generator (fit ``resize``); the same with fit ``tile``, which differs on pictures larger
than the generator's; gradient ascent against the ensemble (the upper reference)."""

Arm = Callable[[Tensor, int], Tensor]
"""Pictures (B, 3, S, S) in [0, 1] and a seed to protected pictures, as 8 bits hold them."""


def build_arms(
    names: Sequence[str],
    generator: PerturbationGenerator,
    surrogates: Sequence[str],
    config: PGDConfig,
) -> dict[str, Arm]:
    """The named arms, all at the generator's budget, on the device the pictures are on.

    Raises:
        ValueError: If a name is unknown, or there is none.
    """
    if not names:
        msg = f"arms is empty; name some of {', '.join(ARMS)}"
        raise ValueError(msg)
    if unknown := [name for name in names if name not in ARMS]:
        msg = f"unknown arm {unknown[0]}; the arms are {', '.join(ARMS)}"
        raise ValueError(msg)
    budget = int(generator.budget)  # what whole levels can hold of it
    ensemble = DiffusionEnsemble(surrogates) if "pgd" in names else None

    def noise(images: Tensor, seed: int) -> Tensor:
        source = torch.Generator().manual_seed(seed)
        return images + (2 * torch.rand(images.shape, generator=source) - 1).to(images) * (
            budget / 255
        )

    def ascent(images: Tensor, seed: int) -> Tensor:
        assert ensemble is not None
        return pgd(
            images, [Denoising(ensemble)], budget, config, torch.Generator().manual_seed(seed)
        )

    def feed_forward(fit: Fit) -> Arm:
        protector = Protector(generator, fit)
        return lambda images, seed: protector.to(images.device)(images)

    ways: dict[str, Arm] = {"clean": lambda images, seed: images, "noise": noise, "pgd": ascent}
    ways |= {"rid": feed_forward("resize"), "rid_tile": feed_forward("tile")}
    return {name: _saved(ways[name], budget) for name in names}


def _saved(arm: Arm, budget: int) -> Arm:
    """The arm between 8-bit files, its change bounded after rounding."""

    def protect(images: Tensor, seed: int) -> Tensor:
        clean = quantize(images)
        return clamp_to_budget(arm(clean, seed), clean, budget).float() / 255

    return protect
