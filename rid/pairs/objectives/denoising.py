"""Denoising loss of frozen models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from rid.ensemble import DiffusionEnsemble
from rid.pairs.objective import ModelObjective


@dataclass(eq=False)
class Denoising(ModelObjective):
    """Denoising loss of frozen models, the objective of AdvDM and of RID's own pairs.

    Source: AdvDM (arXiv 2302.04578). Every gradient draws a new timestep and new noise for each
    image. We differ: several models can be attacked through their mean; perturbations start at
    zero, where Diff-Protect's program of AdvDM starts at random.

    Attributes:
        models: Pipeline folders or Hub ids; the objective is their mean.
        prompt: Prompt of the models.
        timestep_range: Lowest and highest timestep to draw, as fractions of the noise schedule from
            0 to 1.
        num_noise_samples: Samples of timestep and noise averaged per gradient.

    Raises:
        ValueError: If a value is out of range.
    """

    name = "denoising"

    models: list[str]
    prompt: str = "a photo of sks person"
    timestep_range: tuple[float, float] = (0.0, 1.0)
    num_noise_samples: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        lowest, highest = self.timestep_range
        if not 0 <= lowest < highest <= 1:
            msg = "timestep_range must be two fractions from 0 to 1, the lower first"
            raise ValueError(msg)
        if self.num_noise_samples < 1:
            msg = f"num_noise_samples must be at least 1, got {self.num_noise_samples}"
            raise ValueError(msg)

    @cached_property
    def ensemble(self) -> DiffusionEnsemble:
        """The models, opened on first use."""
        return DiffusionEnsemble(self.models, self.prompt, self.dtype)

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        self.ensemble.to(clean.device)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        samples = [self.sample(images, generator) for _ in range(self.num_noise_samples)]
        return torch.stack(samples).mean(dim=0)

    def sample(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Compute the objective for one sample of timestep and noise, (B,)."""
        return self.ensemble.denoising_loss(images, generator, self.timestep_range)
