"""What gradient ascent raises: the published protections that work against models as they are.

Letters: B = pictures, S = side.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from checkpoints.folders import pipeline_folder
from models.pipelines import open_autoencoder
from rid.ensemble import DiffusionEnsemble
from rid.pairs.pgd import Objective


class Denoising(Objective):
    """The denoising loss of a frozen ensemble, as in AdvDM (arXiv 2302.04578) and RID's own pairs.

    Args:
        ensemble: The models; their mean is raised.
        draws: Timesteps and noises averaged for each gradient.
        span: Share of the timesteps drawn from, lowest and highest.
    """

    def __init__(self, ensemble: DiffusionEnsemble, draws: int = 1, span: tuple[float, float] = (0.0, 1.0)) -> None:
        self.ensemble, self.draws, self.span = ensemble, draws, span

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        self.ensemble.to(clean.device)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        losses = [self.ensemble.denoising_loss(images, generator, self.span) for _ in range(self.draws)]
        return torch.stack(losses).mean(dim=0)


class RoundTrip(Objective):
    """Size of the decoded latents, lowered: the encoder attack of RID's baselines, after PhotoGuard (arXiv 2302.06588).

    Args:
        models: Pipeline folders or Hub ids; only their autoencoders are used.
    """

    def __init__(self, models: Sequence[str]) -> None:
        self.autoencoders = [open_autoencoder(pipeline_folder(name)).requires_grad_(False) for name in models]

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        for vae in self.autoencoders:
            vae.to(clean.device)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        norms = []
        for vae in self.autoencoders:
            latents = vae.encode(images * 2 - 1).latent_dist.sample(generator)
            norms.append(vae.decode(latents).sample.square().mean(dim=(1, 2, 3)).sqrt())
        return -torch.stack(norms).mean(dim=0)


class Targeted(Objective):
    """The denoising loss, less the distance of the next latents from those of a target picture (T-ASPL's shift term).

    Args:
        ensemble: The models.
        target: (3, S, S) RGB in [0, 1].
    """

    def __init__(self, ensemble: DiffusionEnsemble, target: Tensor) -> None:
        self.ensemble, self.target = ensemble, target

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        self.ensemble.to(clean.device)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        target = self.target.to(images).expand(len(images), -1, -1, -1)
        return self.ensemble.targeted_loss(images, target, generator)
