"""A model that can be computed by hand, in place of an ensemble."""

import torch

from models.denoisers.latents import LatentScale
from models.denoisers.schedules import DDPMSchedule
from rid.surrogates import Surrogate

SIGNAL = 0.25
"""Cumulative alpha of every timestep."""


class ByHand:
    """Latents are twice the images; the predicted noise is a multiple of the noisy latents."""

    def __init__(self, factor=0.5):
        self.factor = factor
        schedule = DDPMSchedule(torch.full((10,), SIGNAL))
        self.model = Surrogate("m", None, None, 0, LatentScale(), schedule, {})

    def to(self, device):
        return self

    def latents(self, images, generator):
        yield self.model, 2 * images

    def denoise(self, model, noisy, timesteps):
        return self.factor * noisy


def gradient(objective, images, seed=0):
    """Gradient of the sum of an objective with respect to images."""
    images = images.clone().requires_grad_()
    value = objective(images, torch.Generator().manual_seed(seed))
    return torch.autograd.grad(value.sum(), images)[0]


def noise_of(images, seed=0):
    """The noise that an objective draws first."""
    return torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
