"""Arms of a protection study, all at one budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from eval.metrics.quality import quantize
from images.io import clamp_to_budget
from images.transforms.purifier import Purifier
from rid.edits import OverEdits
from rid.ensemble import DiffusionEnsemble
from rid.generator import PerturbationGenerator
from rid.pairs.config import PGDConfig
from rid.pairs.objectives import Denoising
from rid.pairs.pgd import Objective, pgd
from rid.protect.protector import Protector
from rid.protect.windows import ResizeMode

ARMS = ("clean", "noise", "rid", "rid_tile", "pgd", "pgd_eot")
"""Names of the arms.

``clean``: no protection. ``noise``: uniform random noise. ``rid``: the generator with resize mode
``resize``. ``rid_tile``: with resize mode ``tile``, which differs on images larger than the
generator's. ``pgd``: gradient ascent against the ensemble, the upper reference. ``pgd_eot``: the
same ascent on the mean over edits, the upper reference after edits.
"""

Arm = Callable[[Tensor, int], Tensor]
"""Maps images (B, 3, S, S) in [0, 1] and a seed to protected images, rounded to 8 bits."""


def build_arms(
    names: Sequence[str],
    generator: PerturbationGenerator,
    surrogates: Sequence[str],
    config: PGDConfig,
    edits: Sequence[Purifier | None] = (),
) -> dict[str, Arm]:
    """Build the named arms, all at the generator's budget.

    They run on the device of the images.

    Args:
        names: Some of :data:`ARMS`.
        generator: The RID generator.
        surrogates: Pipelines that the PGD arm works against: folders or Hub ids.
        config: Settings of the PGD arms.
        edits: Edits that the arm ``pgd_eot`` averages over; None stands for the image as it is.

    Raises:
        ValueError: If a name is unknown, there is none, or ``pgd_eot`` has no edits.
    """
    if not names:
        msg = f"arms is empty; name some of {', '.join(ARMS)}"
        raise ValueError(msg)
    if unknown := [name for name in names if name not in ARMS]:
        msg = f"unknown arm {unknown[0]}; the arms are {', '.join(ARMS)}"
        raise ValueError(msg)
    # Files hold whole gray levels.
    budget = int(generator.budget)
    objectives: dict[str, Objective] = {}
    if {"pgd", "pgd_eot"} & set(names):
        objectives["pgd"] = Denoising(DiffusionEnsemble(surrogates))
    if "pgd_eot" in names:
        objectives["pgd_eot"] = OverEdits(objectives["pgd"], edits)

    def noise(images: Tensor, seed: int) -> Tensor:
        source = torch.Generator().manual_seed(seed)
        uniform = (2 * torch.rand(images.shape, generator=source) - 1).to(images)
        return images + uniform * (budget / 255)

    def ascend(name: str) -> Arm:
        def protect(images: Tensor, seed: int) -> Tensor:
            source = torch.Generator().manual_seed(seed)
            return pgd(images, [objectives[name]], budget, config, source)

        return protect

    def feed_forward(resize_mode: ResizeMode) -> Arm:
        protector = Protector(generator, resize_mode)
        return lambda images, seed: protector.to(images.device)(images)

    protections: dict[str, Arm] = {
        "clean": lambda images, seed: images,
        "noise": noise,
        "pgd": ascend("pgd"),
        "pgd_eot": ascend("pgd_eot"),
        "rid": feed_forward("resize"),
        "rid_tile": feed_forward("tile"),
    }
    return {name: _with_rounding(protections[name], budget) for name in names}


def _with_rounding(arm: Arm, budget: int) -> Arm:
    """Round an arm's input and output to 8 bits.

    The output is within the budget after rounding.
    """

    def protect(images: Tensor, seed: int) -> Tensor:
        clean = quantize(images)
        return clamp_to_budget(arm(clean, seed), clean, budget).float() / 255

    return protect
