"""Attack on the autoencoders alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from checkpoints.folders import pipeline_folder
from models.pipelines import open_autoencoder
from rid.pairs.objective import ModelObjective


@dataclass(eq=False)
class EncoderAttack(ModelObjective):
    """Negative norm of the decoded latents, the encoder attack of RID's baselines.

    Source: ``attack_encoder.py`` of RID's repository. We differ: its chain of denoising steps,
    through which no gradient comes, is left out.

    Attributes:
        models: Pipeline folders or Hub ids; only their autoencoders are used.
    """

    name = "encoder"

    models: list[str]

    @cached_property
    def autoencoders(self) -> list[Any]:
        """The autoencoders, opened on first use."""
        folders = [pipeline_folder(name) for name in self.models]
        return [open_autoencoder(folder).requires_grad_(False) for folder in folders]

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        for vae in self.autoencoders:
            vae.to(clean.device)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        norms = []
        for vae in self.autoencoders:
            latents = vae.encode(images * 2 - 1).latent_dist.sample(generator)
            norms.append(vae.decode(latents).sample.square().mean(dim=(1, 2, 3)).sqrt())
        return -torch.stack(norms).mean(dim=0)
