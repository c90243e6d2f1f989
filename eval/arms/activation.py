"""Arm: activation of images for copy detection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from datamodules.identities import Person
from engine.manifest import describe
from eval.arms.arm import Arm
from images.budget import check_budget
from indexing.activation_config import ActivationConfig
from indexing.activator import Activator
from indexing.targets import Kind
from rid.lineage import NOTHING, Lineage


class Activation(Arm):
    """Activation (arXiv 2210.10620): changes images so that an index finds them after edits.

    It hinders no personalization; ``Chain`` puts it after a protection. An image that every change
    would lose in the index stays as it is.

    Args:
        indices: Folders of the indices that are to find the images.
        budget: Bound in gray levels of 255; whole levels are used.
        activation: Settings of the optimization; its ``max_levels`` and ``seed`` are set by the
            budget and the study.
        target: Kind of targets; see :func:`indexing.targets.find_targets`.

    Raises:
        ValueError: If the budget is out of range, or there is no index.
    """

    def __init__(
        self,
        indices: Sequence[str],
        budget: float = 6.0,
        activation: ActivationConfig = ActivationConfig(),
        target: Kind = "auto",
    ) -> None:
        if not indices:
            msg = "indices is empty: name the folder of at least one index"
            raise ValueError(msg)
        self.indices = list(indices)
        self.levels = int(check_budget(budget))
        self.activation = activation
        self.target = target

    @cached_property
    def activator(self) -> Activator:
        """The opened indices and their networks."""
        activator = Activator.open(self.indices, self.activation, self.target)
        activator.to(self.device)
        return activator

    @property
    def description(self) -> str:
        return "activation for copy detection"

    @property
    def budget(self) -> float:
        return self.levels

    @property
    def lineage(self) -> Lineage:
        return NOTHING

    def change(self, person: Person, seed: int) -> Tensor:
        activator = self.activator
        activator.config = replace(self.activation, max_levels=self.levels, seed=seed)
        changed = [activator.activate([image])[0].image_u8 for image in person["train"]]
        return torch.stack(changed).to(person["train"]) / 255

    def record(self) -> dict[str, Any]:
        indices = [index.record() for index in self.activator.indices]
        return describe(self) | {"indices": indices, "activation": asdict(self.activation)}

    def to(self, device: torch.device | str) -> Self:
        if "activator" in vars(self):
            self.activator.to(torch.device(device))
        return super().to(device)
