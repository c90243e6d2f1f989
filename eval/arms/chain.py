"""Arm: several protections one after another."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from datamodules.identities import Person
from eval.arms.arm import Arm
from eval.arms.folder import Folder
from images.budget import check_budget
from rid.lineage import NOTHING, Lineage


class Chain(Arm):
    """Protections one after another, such as a generator and then an activation.

    Each changes the result of the one before it; the sum of the changes stays within one budget.

    Args:
        arms: The protections, in order. Only the first may be a ``Folder``.
        budget: Bound of the sum in gray levels of 255; null takes the largest that an arm states.

    Raises:
        ValueError: If there is no arm, a later one is a ``Folder``, the budget is out of range, or
            neither it nor an arm states one.
    """

    def __init__(self, arms: list[Arm], budget: float | None = None) -> None:
        if not arms:
            msg = "arms is empty: name the arms of the chain in order"
            raise ValueError(msg)
        if any(isinstance(arm, Folder) for arm in arms[1:]):
            msg = "a Folder holds protected files of the clean images: it can only begin a chain"
            raise ValueError(msg)
        self.arms = arms
        self.given_budget = None if budget is None else check_budget(budget)

    @property
    def description(self) -> str:
        return "; then ".join(arm.description for arm in self.arms)

    @property
    def budget(self) -> float:
        if self.given_budget is not None:
            return self.given_budget
        stated = [arm.budget for arm in self.arms if arm.budget is not None]
        if not stated:
            msg = "no arm of the chain states a budget: give the chain's budget"
            raise ValueError(msg)
        return max(stated)

    @property
    def lineage(self) -> Lineage:
        return sum((arm.lineage for arm in self.arms), NOTHING)

    @property
    def folders(self) -> list[Path]:
        return [folder for arm in self.arms for folder in arm.folders]

    def change(self, person: Person, seed: int) -> Tensor:
        for number, arm in enumerate(self.arms):
            changed = arm.protect(person, seed + number)
            person = Person(**(person | {"train": changed}))
        return person["train"]

    def check(self, person: Person) -> None:
        for arm in self.arms:
            arm.check(person)

    def record(self) -> dict[str, Any]:
        arms = [arm.record() for arm in self.arms]
        return super().record() | {"budget": self.budget, "arms": arms}

    def to(self, device: torch.device | str) -> Self:
        for arm in self.arms:
            arm.to(device)
        return super().to(device)
