"""What a trained pipeline must be good for."""

import torch

from eval.attacks.personalization import LoraTextualInversion, LoraTextualInversionConfig
from rid.ensemble import DiffusionEnsemble


def check_use(folder, images, count):
    """The pipeline is a surrogate with a gradient, and generates images after an attack."""
    views = images[:2].clone().requires_grad_(True)
    source = torch.Generator().manual_seed(0)
    DiffusionEnsemble([folder]).denoising_loss(views, source).sum().backward()
    assert views.grad.abs().sum() > 0
    config = LoraTextualInversionConfig(
        model=folder,
        initializer="person",
        steps=1,
        samples=count,
        class_images=count,
        class_steps=2,
        sample_steps=2,
    )
    assert LoraTextualInversion(config)(images[:count]).shape == (count, 3, 64, 64)
