"""Denoising error of diffusion models: the quantity that protections raise."""

from __future__ import annotations

import torch
from torch import Tensor

from rid.ensemble import DiffusionEnsemble


def denoising_error(ensemble: DiffusionEnsemble, images: Tensor, draws: int = 8) -> float:
    """Mean squared error of the predicted noise, over models and images.

    Timesteps and noise are the same at each call, so the errors of clean and protected images can
    be compared pair by pair.

    Args:
        ensemble: The models.
        images: (B, 3, S, S) RGB in [0, 1].
        draws: Samples of timestep and noise for each image, at least 1.
    """
    losses = _losses(ensemble, images, draws)
    return float(torch.stack([of_draw.mean() for of_draw in losses]).mean())


def denoising_errors(ensemble: DiffusionEnsemble, images: Tensor, draws: int = 8) -> Tensor:
    """Return the :func:`denoising_error` of each image, (B,); arguments as there."""
    return torch.stack(_losses(ensemble, images, draws)).mean(dim=0)


@torch.no_grad()
def _losses(ensemble: DiffusionEnsemble, images: Tensor, draws: int) -> list[Tensor]:
    """Compute the errors of each draw, (B,) each."""
    losses = []
    for draw in range(draws):
        generator = torch.Generator().manual_seed(draw)
        losses.append(ensemble.denoising_loss(images, generator))
    return losses
