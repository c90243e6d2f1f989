"""Purification: several purifications one after another."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor

from images.transforms.purifier import Purifier


class Chain(Purifier):
    """Purifications one after another, such as JPEG and then an upscaler.

    Args:
        purifiers: The purifications, in order.

    Raises:
        ValueError: If there is none.
    """

    def __init__(self, purifiers: list[Purifier]) -> None:
        if not purifiers:
            msg = "purifiers is empty: name the purifications of the chain in order"
            raise ValueError(msg)
        self.purifiers = purifiers

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        for purifier in self.purifiers:
            images = purifier(images, source)
        return images

    def models(self) -> list[str]:
        return [model for purifier in self.purifiers for model in purifier.models()]

    def record(self) -> dict[str, Any]:
        return super().record() | {"purifiers": [one.record() for one in self.purifiers]}

    def to(self, device: torch.device | str) -> Self:
        for purifier in self.purifiers:
            purifier.to(device)
        return super().to(device)
