"""What every purification is: pictures in, pictures of the same size out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor


class Purifier(ABC):
    """An attempt to wash a protection off. Models are loaded on first use."""

    device = torch.device("cpu")
    model: str | None = None
    """Folder or Hub id of the model it uses, if any."""

    def to(self, device: torch.device | str) -> Self:
        """Where models run; pictures may come from any device and return to it."""
        self.device = torch.device(device)
        for name in ("network", "pipeline"):  # what subclasses open on first use
            if name in self.__dict__:
                self.__dict__[name].to(self.device)
        return self

    @abstractmethod
    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        """Purify pictures.

        Args:
            images: (B, 3, H, W) RGB in [0, 1].
            source: Of all random draws, on the CPU; equal ones give equal results on every device.

        Returns:
            The same shape, in [0, 1].
        """
