"""Mist: the denoising loss, fused with a pull towards a textured target."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.noise import diffuse
from rid.pairs.objectives.denoising import Denoising
from rid.pairs.objectives.targeted import open_target

STRIPE = 16
"""Width of a stripe of the drawn target, in 1/512 of the side."""


@dataclass(eq=False)
class Mist(Denoising):
    """Mist's fused loss: denoising loss minus the distance to a target's latents.

    Source: Mist (arXiv 2305.12683; Diff-Protect's ``code/diff_mist.py``, mode ``mist``). The
    denoising loss counts ``rate`` times, the distance is the sum of squares. We differ: the
    published target image is not ours to ship, so the default is a drawn one with the same traits,
    strong contrast and a small period; plain signs start at zero, not at random.

    Attributes:
        models: Pipeline folders or Hub ids; the objective is their mean.
        prompt: Prompt of the models.
        timestep_range: Lowest and highest timestep to draw, as fractions of the noise schedule from
            0 to 1.
        num_noise_samples: Samples of timestep and noise averaged per gradient.
        target: Target image file; null for black and white stripes in two directions.
        rate: Weight of the denoising loss; 0 leaves the textural loss alone.
    """

    name = "mist"

    prompt: str = "a photo"
    target: str | None = None
    rate: float = 1e4

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        super().start_round(clean, generator)
        if self.target is None:
            self.target_image = stripes(clean.shape[-1]).to(clean)
        else:
            self.target_image = open_target(self.target, clean)

    def sample(self, images: Tensor, generator: torch.Generator) -> Tensor:
        target = self.target_image.expand(len(images), -1, -1, -1)
        with torch.no_grad():
            goals = [latents for _, latents in self.ensemble.latents(target, generator)]
        values = []
        pairs = zip(self.ensemble.latents(images, generator), goals, strict=True)
        for (model, latents), goal in pairs:
            noise, alpha_bar, timesteps = model.schedule.draw(
                latents, generator, self.timestep_range
            )
            noisy = diffuse(latents, noise, alpha_bar)
            predicted = self.ensemble.denoise(model, noisy, timesteps)
            semantic = (predicted - noise).square().mean(dim=(1, 2, 3))
            textural = (latents - goal).square().sum(dim=(1, 2, 3))
            values.append(self.rate * semantic - textural)
        return torch.stack(values).mean(dim=0)


def stripes(side: int) -> Tensor:
    """Draw diagonal stripes that change direction from tile to tile.

    Args:
        side: Side in pixels.

    Returns:
        (1, 3, side, side), 0 or 1.
    """
    width = max(1, STRIPE * side // 512)
    row = torch.arange(side)[:, None]
    column = torch.arange(side)[None]
    tile = row // (8 * width) + column // (8 * width)
    diagonal = torch.where(tile % 2 == 0, row + column, row - column)
    return (torch.div(diagonal, width, rounding_mode="floor") % 2).float().expand(1, 3, -1, -1)
