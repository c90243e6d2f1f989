"""Purification by one differentiable step of a diffusion model."""

from __future__ import annotations

import torch
from torch import Tensor

from eval.attacks.purification.diffusion import UNCONDITIONAL, DiffusionPurifier
from images.transforms.differentiable import resize


class OneStepDiffusion(DiffusionPurifier):
    """Noise, and the model's estimate of the clean image in one step.

    A short stand-in for DiffPure that lets gradients pass, so that a protection can be trained
    through it (compare AntiPure, arXiv 2509.13922).

    Args:
        model: Folder or Hub id of an unconditional ``DDPMPipeline``.
        timestep: Timestep of the noise, from 0; the model's schedule usually has 1,000.
        batch_size: Images at a time.
    """

    def __init__(
        self, model: str = UNCONDITIONAL, timestep: int = 60, batch_size: int = 16
    ) -> None:
        super().__init__(model, timestep + 1, batch_size)
        self.timestep = timestep

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        height, width = images.shape[-2:]
        clean = resize(images.to(self.device), self.side, self.side, "bicubic") * 2 - 1
        signal = self.schedule.alphas_cumprod[self.timestep].to(clean)
        noise = torch.randn(clean.shape, generator=source).to(clean)
        noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise
        estimates = []
        for part in noisy.split(self.batch_size):
            timesteps = torch.full((len(part),), self.timestep, device=part.device)
            predicted = self.network(part, timesteps).sample
            estimates.append((part - (1 - signal).sqrt() * predicted) / signal.sqrt())
        purified = ((torch.cat(estimates) + 1) / 2).clamp(0, 1)
        return resize(purified, height, width, "bicubic").to(images)
