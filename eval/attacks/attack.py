"""Interface of attacks that turn a person's images into generated images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from checkpoints.folders import PIPELINE_FILES, model_folder
from engine.manifest import describe, fingerprint


@dataclass(frozen=True)
class Edit:
    """Edit that a generated image is the result of.

    Attributes:
        image: Index of the edited image.
        before: Words on the image.
        after: Words on the wanted result.
    """

    image: int
    before: str
    after: str


class Attack(ABC):
    """Attack on a person, run on one person after another.

    Models are loaded on first use, so a study can list many attacks before any of them runs. Every
    run starts from the original models.

    Attributes:
        model: Pipeline folder or Hub id of the attacked model.
        device: Device of the models.
    """

    model: str
    device = torch.device("cpu")

    @abstractmethod
    def __call__(self, images: Tensor, on_step: Callable[[float], None] | None = None) -> Tensor:
        """Attack a person.

        Args:
            images: The person's images as the attacker has them, (n, 3, S, S) RGB in [0, 1].
            on_step: Called after each step, for a progress bar, with the loss; 0 without one.

        Returns:
            Generated images, (m, 3, S, S) in [0, 1].
        """

    @abstractmethod
    def steps(self, images: int) -> int:
        """Count the steps of an attack on a number of images."""

    @abstractmethod
    def prompts(self, images: int) -> list[str]:
        """List the prompt of each generated image, without the person's token.

        Args:
            images: Number of the person's images.
        """

    def edits(self, images: int) -> list[Edit]:
        """List the edit behind each generated image; none if the attack does not edit.

        Args:
            images: Number of the person's images.
        """
        return []

    def files(self) -> dict[str, tuple[str, Path]]:
        """Find name and folder or file of every model, by role; ``model`` is ``attacked``.

        Raises:
            FileNotFoundError: If a model cannot be found.
        """
        folder = model_folder(self.model, "model_index.json", patterns=PIPELINE_FILES)
        return {"attacked": (self.model, folder)}

    def weights(self) -> dict[str, Any]:
        """Fingerprint the weights of all models, by role.

        Raises:
            FileNotFoundError: If a model cannot be found.
        """
        return {role: fingerprint(name, place) for role, (name, place) in self.files().items()}

    def record(self) -> dict[str, Any]:
        """Describe class and settings, for a manifest."""
        return describe(self)

    def to(self, device: torch.device | str) -> Self:
        """Move the loaded models to a device."""
        self.device = torch.device(device)
        if "pipeline" in self.__dict__:
            self.__dict__["pipeline"].to(self.device)
        return self
