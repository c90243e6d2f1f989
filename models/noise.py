"""Rank-invariant sampling of noise and timesteps.

N processes draw the same values as one process with the global batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ShardedGenerator:
    """Random generator for one process's rows of a global batch.

    Every process draws for the whole global batch and keeps each ``world_size``-th row from row
    ``rank`` on, as Lightning's distributed samplers assign rows.

    Attributes:
        generator: Source of the draws, in the same state on every process; the global one if None.
        rank: Index of this process.
        world_size: Number of processes.
    """

    generator: torch.Generator | None = None
    rank: int = 0
    world_size: int = 1

    def randn(self, like: Tensor) -> Tensor:
        """Draw standard normal values like a tensor.

        The result has the shape, dtype and device of ``like``.
        """
        device = self.generator.device if self.generator is not None else like.device
        shape = (len(like) * self.world_size, *like.shape[1:])
        values = torch.randn(shape, generator=self.generator, device=device, dtype=like.dtype)
        return values[self.rank :: self.world_size].to(like.device)

    def rand(self, like: Tensor) -> Tensor:
        """Draw one uniform value in [0, 1) per row of ``like``, on its device, (B,) float32."""
        device = self.generator.device if self.generator is not None else like.device
        shape = (len(like) * self.world_size,)
        values = torch.rand(shape, generator=self.generator, device=device)
        return values[self.rank :: self.world_size].to(like.device)

    def randint(self, low: int, high: int, like: Tensor) -> Tensor:
        """Draw one integer per row of ``like``, on its device.

        Args:
            low: Smallest value.
            high: One above the largest value.
            like: Tensor that gives the number of rows and the device.

        Returns:
            Integers in [low, high), (B,) int64.
        """
        device = self.generator.device if self.generator is not None else like.device
        shape = (len(like) * self.world_size,)
        values = torch.randint(low, high, shape, generator=self.generator, device=device)
        return values[self.rank :: self.world_size].to(like.device)


NoiseSource = torch.Generator | ShardedGenerator | None
"""Source of timesteps and noise; None draws from PyTorch's global generator."""

TimestepRange = tuple[float, float]
"""Lowest and highest timestep to draw, as fractions of the noise schedule, each in [0, 1]."""


def draw_noise(
    latents: Tensor,
    alphas_cumprod: Tensor,
    generator: NoiseSource,
    timestep_range: TimestepRange = (0.0, 1.0),
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw noise and one timestep for each image.

    Args:
        latents: (B, C, h, w).
        alphas_cumprod: Cumulative alphas of the noise schedule, (timesteps,).
        generator: Source of timesteps and noise.
        timestep_range: Fractions of the noise schedule, see :data:`TimestepRange`.

    Returns:
        Noise, (B, C, h, w); cumulative alphas of the timesteps, (B,); timesteps, (B,) int64.
    """
    low, high = timestep_limits(timestep_range, len(alphas_cumprod))
    noise = as_sharded(generator).randn(latents)
    timesteps = as_sharded(generator).randint(low, high, latents)
    return noise, alphas_cumprod[timesteps], timesteps


def timestep_limits(timestep_range: TimestepRange, count: int) -> tuple[int, int]:
    """Return the lowest timestep of a range, and one above the highest."""
    low = int(timestep_range[0] * count)
    return low, max(int(timestep_range[1] * count), low + 1)


def diffuse(latents: Tensor, noise: Tensor, signal: Tensor) -> Tensor:
    """Apply the forward process to latents.

    The result is ``sqrt(signal) * latents + sqrt(1 - signal) * noise``.

    Args:
        latents: Scaled latents, (B, C, h, w).
        noise: Standard normal, same shape.
        signal: Cumulative alpha of each image's timestep, (B,), in (0, 1).
    """
    signal = signal.view(-1, 1, 1, 1)
    return signal.sqrt() * latents + (1 - signal).sqrt() * noise


def as_sharded(generator: NoiseSource) -> ShardedGenerator:
    """Wrap a plain generator as that of a single process."""
    return generator if isinstance(generator, ShardedGenerator) else ShardedGenerator(generator)
