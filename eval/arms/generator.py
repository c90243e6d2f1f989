"""Arm: a RID generator."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from checkpoints.folders import model_path
from datamodules.identities import Person
from engine.manifest import describe, fingerprint
from eval.arms.arm import Arm
from images.budget import check_budget
from models.faces.backends import face_fingerprints
from rid.lineage import Lineage, lineage_of
from rid.protect.face_search import FaceSearch, choose_mode
from rid.protect.protector import Protector
from rid.protect.windows import ResizeMode
from rid.weights import load_generator


class Generator(Arm):
    """RID generator, one forward pass.

    Args:
        weights: Folder, checkpoint, registry name or Hub id of the generator.
        resize_mode: Handling of images of other sizes than the generator's; see
            :data:`rid.protect.windows.ResizeMode`.
        budget: Bound in gray levels of 255; null takes the generator's. Another bound scales its
            perturbation.

    Raises:
        ValueError: If the budget is out of range.
    """

    def __init__(
        self, weights: str, resize_mode: ResizeMode = "resize", budget: float | None = None
    ) -> None:
        self.weights = weights
        self.resize_mode = resize_mode
        self.given_budget = None if budget is None else check_budget(budget)

    @cached_property
    def protector(self) -> Protector:
        """The generator, opened on first use."""
        network = load_generator(self.weights)
        if self.given_budget is not None:
            network.budget = self.given_budget
        _, detector = choose_mode(self.resize_mode, None)
        faces = None if detector is None else FaceSearch(detector)
        return Protector(network, self.resize_mode, faces=faces)

    @property
    def description(self) -> str:
        if self.resize_mode == "tile":
            return "RID generator, in windows at the image's own size"
        return "RID generator, one forward pass"

    @property
    def budget(self) -> float:
        return self.protector.budget

    @property
    def lineage(self) -> Lineage:
        return lineage_of(self.weights)

    def change(self, person: Person, seed: int) -> Tensor:
        images = person["train"]
        changed: Tensor = self.protector.to(images.device)(images)
        return changed

    def record(self) -> dict[str, Any]:
        entry = describe(self) | {
            "budget": self.budget,
            "weights": fingerprint(self.weights, model_path(self.weights)),
        }
        _, detector = choose_mode(self.resize_mode, None)
        return entry if detector is None else entry | {"faces": face_fingerprints(detector)}

    def to(self, device: torch.device | str) -> Self:
        if "protector" in vars(self):
            self.protector.to(device)
        return super().to(device)
