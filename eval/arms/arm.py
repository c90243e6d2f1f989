"""Interface of the arms of a protection study."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from datamodules.identities import Person
from engine.manifest import describe
from eval.metrics.quality import quantize
from images.io import clamp_to_budget
from rid.lineage import Lineage


class Arm(ABC):
    """One way to protect the images of a person.

    Models are opened on first use.

    Attributes:
        device: Device of the networks.
    """

    device = torch.device("cpu")

    @property
    @abstractmethod
    def description(self) -> str:
        """Words on the arm for the report."""

    @property
    @abstractmethod
    def budget(self) -> float | None:
        """Bound in gray levels of 255 that every result keeps; None if none is stated."""

    @property
    @abstractmethod
    def lineage(self) -> Lineage:
        """Models that the protection was made against."""

    @property
    def folders(self) -> list[Path]:
        """Folders of images that the arm reads; none of most arms."""
        return []

    @abstractmethod
    def change(self, person: Person, seed: int) -> Tensor:
        """Change the images of a person.

        Args:
            person: The person, with training images of 8-bit values.
            seed: Seed of all random draws.

        Returns:
            The training images, changed, (B, 3, H, W) in [0, 1].
        """

    def protect(self, person: Person, seed: int) -> Tensor:
        """Protect the training images of a person.

        Args:
            person: The person, with images on the arm's device.
            seed: Seed of all random draws.

        Returns:
            (B, 3, H, W) in [0, 1], rounded to 8 bits, within the budget if there is one.
        """
        clean = quantize(person["train"])
        changed = self.change(Person(**(person | {"train": clean})), seed)
        if self.budget is None:
            return quantize(changed)
        return clamp_to_budget(changed, clean, self.budget).float() / 255

    def check(self, person: Person) -> None:
        """Check before a study that the arm can protect a person.

        Raises:
            ValueError: If it cannot.
            FileNotFoundError: If a file is missing.
        """
        return

    def record(self) -> dict[str, Any]:
        """Describe class, settings and weights, for a manifest.

        Raises:
            FileNotFoundError: If a model is missing.
        """
        return describe(self)

    def to(self, device: torch.device | str) -> Self:
        """Move the opened networks to a device."""
        self.device = torch.device(device)
        return self
