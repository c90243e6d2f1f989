"""Baselines of a protection study: no protection, and random noise."""

from __future__ import annotations

import torch
from torch import Tensor

from datamodules.identities import Person
from eval.arms.arm import Arm
from images.budget import check_budget
from rid.lineage import NOTHING, Lineage


class Clean(Arm):
    """No protection."""

    @property
    def description(self) -> str:
        return "not protected"

    @property
    def budget(self) -> float:
        return 0.0

    @property
    def lineage(self) -> Lineage:
        return NOTHING

    def change(self, person: Person, seed: int) -> Tensor:
        return person["train"]


class Noise(Arm):
    """Uniform random noise.

    Args:
        budget: Bound in gray levels of 255; whole levels are used.

    Raises:
        ValueError: If the budget is out of range.
    """

    def __init__(self, budget: float = 6.0) -> None:
        self.levels = int(check_budget(budget))

    @property
    def description(self) -> str:
        return f"uniform random noise of {self.levels} levels"

    @property
    def budget(self) -> float:
        return self.levels

    @property
    def lineage(self) -> Lineage:
        return NOTHING

    def change(self, person: Person, seed: int) -> Tensor:
        images = person["train"]
        source = torch.Generator().manual_seed(seed)
        uniform = (2 * torch.rand(images.shape, generator=source) - 1).to(images)
        return images + uniform * (self.levels / 255)
