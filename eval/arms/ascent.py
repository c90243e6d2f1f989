"""Arm: projected gradient ascent for each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

import rid.pairs.objectives  # noqa: F401, so that configs may name its classes
from datamodules.identities import Person
from engine.manifest import describe
from eval.arms.arm import Arm
from images.budget import check_budget
from images.transforms.purifier import Purifier
from rid.edits import list_objectives, record
from rid.lineage import Lineage
from rid.pairs.config import PGDConfig
from rid.pairs.objective import ModelObjective, Objective
from rid.pairs.pgd import pgd


class Ascent(Arm):
    """Gradient ascent for each image, as in ``python -m rid pairs``.

    Args:
        objective: Objective of the ascent and its models: a class of :mod:`rid.pairs.objectives`.
        budget: Bound in gray levels of 255.
        pgd: Settings of the ascent.
        edits: Differentiable edits that every step averages over, so that the protection survives
            them; null stands for the image as it is.
        alternate_models: Attack the models one after another in each round and average the results,
            as published ensembles do; otherwise each step uses the mean of all models.
        learn_from_reference: Surrogates that are fine-tuned learn the person from the reference
            images, as Anti-DreamBooth's do from its set A; otherwise from the images to protect.

    Raises:
        ValueError: If the budget is out of range.
    """

    def __init__(
        self,
        objective: ModelObjective,
        budget: float = 6.0,
        pgd: PGDConfig = PGDConfig(),
        edits: Sequence[Purifier | None] = (),
        alternate_models: bool = False,
        learn_from_reference: bool = False,
    ) -> None:
        self.objective = objective
        self.levels = check_budget(budget)
        self.pgd = pgd
        self.edits = edits
        self.alternate_models = alternate_models
        self.learn_from_reference = learn_from_reference

    @cached_property
    def objectives(self) -> list[Objective]:
        """One objective per model in turn, or one for all."""
        return list_objectives(self.objective, self.edits, self.alternate_models)

    @property
    def description(self) -> str:
        through = ", through edits" if self.edits else ""
        return f"gradient ascent for each image on {type(self.objective).__name__}{through}"

    @property
    def budget(self) -> float:
        return self.levels

    @property
    def lineage(self) -> Lineage:
        return Lineage(self.objective.weights(), complete=True)

    def change(self, person: Person, seed: int) -> Tensor:
        source = torch.Generator().manual_seed(seed)
        reference = person["reference"] if self.learn_from_reference else None
        return pgd(
            person["train"], self.objectives, self.levels, self.pgd, source, reference=reference
        )

    def record(self) -> dict[str, Any]:
        entry = describe(self)
        if not self.learn_from_reference:
            del entry["learn_from_reference"]  # folders of earlier versions do not have it
        return entry | {
            "objective": describe(self.objective) | self.objective.settings(),
            "pgd": asdict(self.pgd),
            "edits": record(self.edits),
            "weights": self.objective.weights(),
        }

    def to(self, device: torch.device | str) -> Self:
        for objective in vars(self).get("objectives", []):
            objective.to(device)
        return super().to(device)
