"""Noise schedules of denoisers: DDPM and flow matching, in one form.

Both mix latents with noise as DDPM does: ``sqrt(a) * latents + sqrt(1 - a) * noise``, with the
cumulative alpha ``a`` of a timestep. A flow-matching model is trained on ``(1 - t) * latents + t *
noise``, which is the same mixture times ``sqrt((1 - t)**2 + t**2)``, for
``a = (1 - t)**2 / ((1 - t)**2 + t**2)``. So losses and attacks are written once.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from models.noise import NoiseSource, TimestepRange, as_sharded, draw_noise, timestep_limits


@dataclass
class NoiseSchedule(ABC):
    """Noise schedule of a denoiser.

    Attributes:
        alphas_cumprod: Cumulative alpha of each timestep, (timesteps,), falling.
    """

    alphas_cumprod: Tensor

    def to(self, device: torch.device | str) -> Self:
        """Move the tensors to a device."""
        self.alphas_cumprod = self.alphas_cumprod.to(device)
        return self

    @abstractmethod
    def draw(
        self,
        latents: Tensor,
        generator: NoiseSource,
        timestep_range: TimestepRange = (0.0, 1.0),
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw noise, and one timestep for each image as in the model's training.

        Args:
            latents: (B, C, h, w).
            generator: Source of timesteps and noise.
            timestep_range: Fractions of the noise schedule, see
                :data:`models.noise.TimestepRange`.

        Returns:
            Noise, (B, C, h, w); cumulative alphas of the timesteps, (B,); timesteps, (B,) int64.
        """

    @abstractmethod
    def inputs(self, noisy: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Convert noisy latents and timesteps to the network's.

        Args:
            noisy: Latents mixed with noise, (B, C, h, w).
            timesteps: (B,) int64.

        Returns:
            Latents, same shape; timesteps on the network's scale from 0 to 1000, (B,).
        """

    @abstractmethod
    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Compute the output that the network is trained to give, (B, C, h, w)."""

    @abstractmethod
    def predicted_noise(self, output: Tensor, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """Convert the network's output to the predicted noise.

        Args:
            output: (B, C, h, w).
            noisy: Latents mixed with noise, before :meth:`inputs`; same shape.
            timesteps: (B,) int64.
        """

    @abstractmethod
    def denoising_error(self, noise_error: Tensor, timesteps: Tensor) -> Tensor:
        """Convert the error of the predicted noise to the error of the denoising loss."""


@dataclass
class DDPMSchedule(NoiseSchedule):
    """Schedule of DDPM; timesteps are uniform (arXiv 2006.11239).

    Attributes:
        alphas_cumprod: Cumulative alpha of each timestep, (timesteps,), falling.
        prediction_type: Output of the network: ``epsilon`` or ``v_prediction``.

    Raises:
        ValueError: For any other prediction type.
    """

    prediction_type: str = "epsilon"

    def __post_init__(self) -> None:
        if self.prediction_type not in ("epsilon", "v_prediction"):
            msg = (
                f"prediction type '{self.prediction_type}' is not supported; use a model with "
                "epsilon or v_prediction"
            )
            raise ValueError(msg)

    def draw(
        self,
        latents: Tensor,
        generator: NoiseSource,
        timestep_range: TimestepRange = (0.0, 1.0),
    ) -> tuple[Tensor, Tensor, Tensor]:
        return draw_noise(latents, self.alphas_cumprod, generator, timestep_range)

    def inputs(self, noisy: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        return noisy, timesteps

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        if self.prediction_type == "epsilon":
            return noise
        signal = self.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        return signal.sqrt() * noise - (1 - signal).sqrt() * latents

    def predicted_noise(self, output: Tensor, noisy: Tensor, timesteps: Tensor) -> Tensor:
        if self.prediction_type == "epsilon":
            return output
        signal = self.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        return signal.sqrt() * output + (1 - signal).sqrt() * noisy

    def denoising_error(self, noise_error: Tensor, timesteps: Tensor) -> Tensor:
        return noise_error


@dataclass
class FlowSchedule(NoiseSchedule):
    """Schedule of rectified flow; times have a shifted logit-normal density (arXiv 2403.03206).

    The network gets ``x_t = (1 - t) * latents + t * noise`` and predicts the velocity
    ``noise - latents``. Timestep k of T is the time ``(k + 1/2) / T``.

    Attributes:
        alphas_cumprod: Cumulative alpha of each timestep, (timesteps,), falling.
        shift: Shift of the times towards noise; 1 for none.
        shift_by_tokens: Slope and offset of the logarithm of the shift, by the number of 2 x 2
            patches of the latents; None for a constant shift.
    """

    shift: float = 1.0
    shift_by_tokens: tuple[float, float] | None = None

    @classmethod
    def of(cls, config: dict[str, Any]) -> Self:
        """Build the schedule of a ``FlowMatchEulerDiscreteScheduler`` from its settings."""
        count = config.get("num_train_timesteps", 1000)
        times = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        alphas = ((1 - times) ** 2 / ((1 - times) ** 2 + times**2)).float()
        if not config.get("use_dynamic_shifting", False):
            return cls(alphas, config.get("shift", 1.0))
        low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
        base, top = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
        slope = (top - base) / (high - low)
        return cls(alphas, shift_by_tokens=(slope, base - slope * low))

    def draw(
        self,
        latents: Tensor,
        generator: NoiseSource,
        timestep_range: TimestepRange = (0.0, 1.0),
    ) -> tuple[Tensor, Tensor, Tensor]:
        source, count = as_sharded(generator), len(self.alphas_cumprod)
        noise = source.randn(latents)
        # the quantiles of the range, then times at uniform quantiles between them
        low, high = timestep_limits(timestep_range, count)
        shift = self.shift_of(latents)
        limits = torch.tensor([low / count, high / count])
        unshifted = limits / (shift - (shift - 1) * limits)
        start, end = torch.special.ndtr(torch.logit(unshifted)).tolist()
        quantiles = start + (end - start) * source.rand(latents)
        times = torch.sigmoid(torch.special.ndtri(quantiles))
        times = shift * times / (1 + (shift - 1) * times)
        timesteps = (times * count).long().clamp(low, high - 1)
        return noise, self.alphas_cumprod[timesteps], timesteps

    def shift_of(self, latents: Tensor) -> float:
        """Return the shift for latents of a size, (B, C, h, w)."""
        if self.shift_by_tokens is None:
            return self.shift
        slope, offset = self.shift_by_tokens
        tokens = latents.shape[-2] * latents.shape[-1] // 4
        return math.exp(slope * tokens + offset)

    def inputs(self, noisy: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        times = self._times(timesteps).to(noisy.dtype)
        scale = ((1 - times).square() + times.square()).sqrt()
        return scale * noisy, 1000 * times.flatten()

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return noise - latents

    def predicted_noise(self, output: Tensor, noisy: Tensor, timesteps: Tensor) -> Tensor:
        # noise = x_t + (1 - t) * velocity
        times = self._times(timesteps).to(noisy.dtype)
        return self.inputs(noisy, timesteps)[0] + (1 - times) * output

    def denoising_error(self, noise_error: Tensor, timesteps: Tensor) -> Tensor:
        return noise_error / (1 - self._times(timesteps)).to(noise_error.dtype)

    def _times(self, timesteps: Tensor) -> Tensor:
        """Return the times of timesteps, (B, 1, 1, 1) in (0, 1)."""
        times = (timesteps.float() + 0.5) / len(self.alphas_cumprod)
        return times.view(-1, 1, 1, 1)
