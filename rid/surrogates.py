"""Surrogates: latent diffusion models in place of an attacker's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.denoisers import Conditions, Family
from models.denoisers.latents import LatentScale
from models.denoisers.schedules import NoiseSchedule


@dataclass
class Surrogate:
    """One latent diffusion model of an ensemble.

    Attributes:
        name: Pipeline folder or Hub id.
        family: Family of the model.
        network: The frozen denoising network.
        encoder: Index of its VAE encoder in :attr:`DiffusionEnsemble.encoders`.
        scale: Scale of its latents.
        schedule: Its noise schedule.
        conditions: The constant prompt, encoded.
    """

    name: str
    family: Family
    network: Any
    encoder: int
    scale: LatentScale
    schedule: NoiseSchedule
    conditions: Conditions

    def to(self, device: torch.device | str) -> None:
        """Move all but the network to a device."""
        self.schedule.to(device)
        self.conditions = {name: value.to(device) for name, value in self.conditions.items()}

    def predict_noise(self, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """Predict the noise in diffused latents under the constant prompt.

        Args:
            noisy: Diffused latents, (B, C, h, w).
            timesteps: (B,) int64.

        Returns:
            (B, C, h, w).
        """
        conditions = {
            name: value.expand(len(noisy), *value.shape[1:])
            for name, value in self.conditions.items()
        }
        dtype = conditions["encoder_hidden_states"].dtype
        latents, times = self.schedule.inputs(noisy, timesteps)
        output = self.family.predict(self.network, latents.to(dtype), times, conditions)
        return self.schedule.predicted_noise(output.to(noisy.dtype), noisy, timesteps)
