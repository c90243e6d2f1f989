"""Purification by one differentiable step of a diffusion model."""

from __future__ import annotations

import torch
from torch import Tensor

from eval.attacks.purification.diffusion import UNCONDITIONAL, DiffusionPurifier, cut, paste
from images.transforms.differentiable import resize


class OneStepDiffusion(DiffusionPurifier):
    """Noise, and the model's estimate of the clean image in one step.

    A short stand-in for DiffPure and GrIDPure that lets gradients pass, so that a protection can be
    trained through it (compare AntiPure, arXiv 2509.13922).

    Args:
        model: Folder or Hub id of an unconditional ``DDPMPipeline``.
        timestep: Timestep of the noise, from 0; the model's schedule usually has 1,000.
        windows: Purify overlapping windows at the image's own size, as GrIDPure does, instead of
            the image at the model's size.
        batch_size: Images or windows at a time.
    """

    def __init__(
        self,
        model: str = UNCONDITIONAL,
        timestep: int = 60,
        windows: bool = False,
        batch_size: int = 16,
    ) -> None:
        super().__init__(model, timestep + 1, batch_size)
        self.timestep = timestep
        self.windows = windows

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        height, width = images.shape[-2:]
        size = (self.side, self.side)
        if self.windows:
            size = (max(height, self.side), max(width, self.side))
        clean = resize(images.to(self.device), *size, "bicubic") * 2 - 1
        if self.windows:
            estimate = paste(self._estimate(cut(clean, self.side), source), clean.shape, self.side)
        else:
            estimate = self._estimate(clean, source)
        return resize(((estimate + 1) / 2).clamp(0, 1), height, width, "bicubic").to(images)

    def _estimate(self, clean: Tensor, source: torch.Generator) -> Tensor:
        """Add noise, and estimate the clean image in one step; values are in [-1, 1]."""
        signal = self.schedule.alphas_cumprod[self.timestep].to(clean)
        noise = torch.randn(clean.shape, generator=source).to(clean)
        noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise
        estimates = []
        for part in noisy.split(self.batch_size):
            timesteps = torch.full((len(part),), self.timestep, device=part.device)
            predicted = self.network(part, timesteps).sample
            estimates.append((part - (1 - signal).sqrt() * predicted) / signal.sqrt())
        return torch.cat(estimates)
