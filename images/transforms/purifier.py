"""Interface of edits that may remove a protection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import torch
from torch import Tensor

from engine.manifest import describe


class Purifier(ABC):
    """Purification: maps protected images to images of the same size.

    Attackers apply purifications (:mod:`eval.attacks.purification`). Protections that shall survive
    them are trained through differentiable ones (:mod:`rid.edits`).
    Models are loaded on first use.
    """

    device = torch.device("cpu")
    model: str | None = None
    """Folder or Hub id of the purification's model, if any."""

    def to(self, device: torch.device | str) -> Self:
        """Move the models to a device.

        Images may be on any device; results return to it.
        """
        self.device = torch.device(device)
        # Subclasses open these on first use.
        for name in ("network", "pipeline"):
            if name in self.__dict__:
                self.__dict__[name].to(self.device)
        return self

    def models(self) -> list[str]:
        """List folders and Hub ids of all models."""
        return [] if self.model is None else [self.model]

    def record(self) -> dict[str, Any]:
        """Describe class and settings, for a manifest."""
        return describe(self)

    @abstractmethod
    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        """Purify images.

        Args:
            images: (B, 3, H, W) RGB in [0, 1].
            source: Generator of all random draws, on the CPU; equal states give equal results on
                every device.

        Returns:
            The same shape, in [0, 1].
        """
