"""PGD objectives that use frozen models.

Letters: B = images, S = side.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from checkpoints.folders import pipeline_folder
from models.pipelines import open_autoencoder
from rid.ensemble import DiffusionEnsemble
from rid.noise import TimestepRange
from rid.pairs.pgd import Objective


class Denoising(Objective):
    """Denoising loss of a frozen ensemble.

    The objective of AdvDM (arXiv 2302.04578) and of RID's own pairs.

    Args:
        ensemble: The models; their mean loss is the objective.
        num_noise_samples: Samples of timestep and noise averaged per gradient.
        timestep_range: Fractions of the noise schedule, see :data:`rid.noise.TimestepRange`.
    """

    def __init__(
        self,
        ensemble: DiffusionEnsemble,
        num_noise_samples: int = 1,
        timestep_range: TimestepRange = (0.0, 1.0),
    ) -> None:
        self.ensemble = ensemble
        self.num_noise_samples = num_noise_samples
        self.timestep_range = timestep_range

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        self.ensemble.to(clean.device)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        losses = [
            self.ensemble.denoising_loss(images, generator, self.timestep_range)
            for _ in range(self.num_noise_samples)
        ]
        return torch.stack(losses).mean(dim=0)


class EncoderAttack(Objective):
    """Negative norm of the decoded latents.

    The encoder attack of RID's baselines, after PhotoGuard (arXiv 2302.06588).

    Args:
        models: Pipeline folders or Hub ids; only their autoencoders are used.
    """

    def __init__(self, models: Sequence[str]) -> None:
        folders = [pipeline_folder(name) for name in models]
        self.autoencoders = [open_autoencoder(folder).requires_grad_(False) for folder in folders]

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
    """Denoising loss minus T-ASPL's shift term towards a target image.

    See :meth:`rid.ensemble.DiffusionEnsemble.targeted_loss`.

    Args:
        ensemble: The models.
        target: (3, S, S) RGB in [0, 1].
    """

    def __init__(self, ensemble: DiffusionEnsemble, target: Tensor) -> None:
        self.ensemble = ensemble
        self.target = target

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        self.ensemble.to(clean.device)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        target = self.target.to(images).expand(len(images), -1, -1, -1)
        return self.ensemble.targeted_loss(images, target, generator)
