"""Random draws for a batch that several processes share: together they draw what one process would for the whole batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Draws for every ``world_size``-th row of a global batch, from row ``rank`` on, as samplers share rows out.

    Attributes:
        generator: Source of the draws, in the same state on every process; the global one if None.
        rank: This process's number.
        world_size: How many processes there are.
    """

    generator: torch.Generator | None = None
    rank: int = 0
    world_size: int = 1

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal of the shape, type and device of ``like``."""
        device = self.generator.device if self.generator is not None else like.device
        shape = (len(like) * self.world_size, *like.shape[1:])
        drawn = torch.randn(shape, generator=self.generator, device=device, dtype=like.dtype)
        return drawn[self.rank :: self.world_size].to(like.device)

    def integers(self, low: int, high: int, like: Tensor) -> Tensor:
        """Whole numbers from ``low`` to below ``high``, one per row of ``like`` and on its device."""
        device = self.generator.device if self.generator is not None else like.device
        drawn = torch.randint(low, high, (len(like) * self.world_size,), generator=self.generator, device=device)
        return drawn[self.rank :: self.world_size].to(like.device)
