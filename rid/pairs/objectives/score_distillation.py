"""Score distillation: the denoising loss without the UNet's Jacobian."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.noise import diffuse
from rid.pairs.objectives.denoising import Denoising


@dataclass(eq=False)
class ScoreDistillation(Denoising):
    """Score distillation of Diff-Protect: ``predicted - noise`` is the gradient of the latents.

    Source: Diff-Protect (arXiv 2311.12832; ``pgd_sds`` in ``code/attacks.py``). ``descend`` is its
    SDS(-), the program's default; without it, SDS(+). We differ: one encoding serves prediction and
    gradient, where the program encodes twice.

    Attributes:
        models: Pipeline folders or Hub ids; the objective is their mean.
        prompt: Prompt of the models.
        timestep_range: Lowest and highest timestep to draw, as fractions of the noise schedule from
            0 to 1.
        num_noise_samples: Samples of timestep and noise averaged per gradient.
        descend: Lower the denoising loss instead of raising it.
    """

    name = "score distillation"

    prompt: str = "a photo"
    descend: bool = True

    def sample(self, images: Tensor, generator: torch.Generator) -> Tensor:
        values = []
        for model, latents in self.ensemble.latents(images, generator):
            noise, alpha_bar, timesteps = model.schedule.draw(
                latents, generator, self.timestep_range
            )
            with torch.no_grad():
                noisy = diffuse(latents, noise, alpha_bar)
                gradient = self.ensemble.denoise(model, noisy, timesteps) - noise
            values.append((gradient * latents).sum(dim=(1, 2, 3)))
        value = torch.stack(values).mean(dim=0)
        return -value if self.descend else value
