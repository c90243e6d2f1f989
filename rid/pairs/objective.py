"""Interface of the objectives of gradient ascent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from checkpoints.folders import pipeline_folder
from engine.manifest import fingerprint
from rid.lineage import Fingerprint


class Objective(ABC):
    """Objective of the ascent, one value per image."""

    @abstractmethod
    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Compute the objective, differentiable with respect to the images.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].
            generator: Source of random draws, fresh ones at every call.

        Returns:
            (B,).
        """

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        """Prepare for a round with the clean images."""
        return

    def end_round(self, protected: Tensor, generator: torch.Generator) -> None:
        """Finish a round with its protected images."""
        return

    def to(self, device: torch.device | str) -> Self:
        """Move opened networks to a device; a round moves them to that of its images."""
        return self


class ModelObjective(Objective):
    """Objective that works against diffusion models, named in configs by ``class_path``.

    Subclasses are dataclasses of their settings. They open the models on first use.

    Attributes:
        name: Name of the objective in manifests.
        models: Pipeline folders or Hub ids.
        dtype: Precision of frozen UNets.
        one_model: The objective takes the models one after another, never their mean.
        learns: The objective fine-tunes models on clean images.
    """

    # jsonargparse reads annotations in the module of the subclass, so none here needs an import
    name = ""
    one_model = False
    learns = False
    dtype = torch.float32
    models: list[str]

    def __post_init__(self) -> None:
        if not self.models:
            msg = "models is empty: name at least one pipeline folder or Hub id"
            raise ValueError(msg)

    def per_model(self) -> list[Self]:
        """Return one objective for each model."""
        objectives = []
        for name in self.models:
            objective = replace(self, models=[name])  # type: ignore[type-var]
            objective.dtype = self.dtype
            objectives.append(objective)
        return objectives

    def settings(self) -> dict[str, Any]:
        """Return the settings, for a manifest."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        for name, value in values.items():
            if is_dataclass(value) and not isinstance(value, type):
                values[name] = asdict(value)
        return values

    def weights(self) -> list[Fingerprint]:
        """Fingerprint the models.

        Raises:
            FileNotFoundError: If one is missing.
        """
        return [fingerprint(name, Path(pipeline_folder(name))) for name in self.models]

    def to(self, device: torch.device | str) -> Self:
        for value in vars(self).values():
            for part in value if isinstance(value, list) else [value]:
                if hasattr(part, "to"):
                    part.to(device)
        return self
