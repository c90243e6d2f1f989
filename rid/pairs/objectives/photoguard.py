"""PhotoGuard: the encoder attack and the diffusion attack (arXiv 2302.06588)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from checkpoints.folders import pipeline_folder
from models.noise import as_sharded, diffuse
from models.pipelines import open_autoencoder
from rid.ensemble import DiffusionEnsemble
from rid.losses import ancestral_step
from rid.pairs.objective import ModelObjective
from rid.pairs.objectives.encoder import EncoderAttack
from rid.pairs.objectives.targeted import open_target
from rid.surrogates import Surrogate


@dataclass(eq=False)
class PhotoGuardEncoder(EncoderAttack):
    """PhotoGuard's encoder attack: negative distance of the mean latents to a target's.

    Source: PhotoGuard (arXiv 2302.06588; ``demo_simple_attack_img2img.ipynb``). Without a target
    the latents are drawn to 0, as in the notebook. We differ: the step size is constant, where the
    notebook's falls linearly to a hundredth; there is no random start.

    Attributes:
        models: Pipeline folders or Hub ids; only their autoencoders are used.
        target: Target image file; null for latents of 0.
    """

    name = "photoguard encoder"

    target: str | None = None

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        super().start_round(clean, generator)
        self.goals: list[Tensor | float] = [0.0] * len(self.autoencoders)
        if self.target is not None:
            image = open_target(self.target, clean)
            with torch.no_grad():
                self.goals = [_mean(vae, image) for vae in self.autoencoders]

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        distances = []
        for vae, goal in zip(self.autoencoders, self.goals, strict=True):
            distances.append((_mean(vae, images) - goal).flatten(1).norm(dim=1))
        return -torch.stack(distances).mean(dim=0)


@dataclass(eq=False)
class PhotoGuardDiffusion(ModelObjective):
    """PhotoGuard's diffusion attack: negative distance of an edited image to a target.

    Source: PhotoGuard (arXiv 2302.06588; ``demo_complex_attack_inpainting.ipynb``). The gradient
    goes through the whole edit: a few stochastic DDIM steps (eta 1) and the decoder. We differ: the
    edit is image-to-image from ``strength`` of the schedule, as portraits are edited, where the
    notebook inpaints around a mask; its prompt is empty, so guidance has no effect and is left out.
    The notebook's target is a gray image, as ours without ``target``.

    Attributes:
        models: Pipeline folders or Hub ids; the objective is their mean.
        target: Target image file; null for mid-gray.
        prompt: Prompt of the edit.
        steps: Denoising steps of the edit.
        strength: Share of the noise schedule that the edit begins at, above 0 and at most 1.
        num_noise_samples: Edits averaged per gradient.
    """

    name = "photoguard diffusion"

    models: list[str]
    target: str | None = None
    prompt: str = ""
    steps: int = 4
    strength: float = 0.7
    num_noise_samples: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.strength <= 1 or self.steps < 1 or self.num_noise_samples < 1:
            msg = (
                "strength is above 0 and at most 1, steps and num_noise_samples are at least 1, "
                f"got {self.strength}, {self.steps} and {self.num_noise_samples}"
            )
            raise ValueError(msg)

    @cached_property
    def ensemble(self) -> DiffusionEnsemble:
        """The models, opened on first use."""
        return DiffusionEnsemble(self.models, self.prompt, self.dtype)

    @cached_property
    def decoders(self) -> list[Any]:
        """Autoencoders of the models, opened on first use."""
        folders = [pipeline_folder(name) for name in self.models]
        return [open_autoencoder(folder).requires_grad_(False) for folder in folders]

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        self.ensemble.to(clean.device)
        for vae in self.decoders:
            vae.to(clean.device)
        self.goal: Tensor | float = 0.0
        if self.target is not None:
            self.goal = open_target(self.target, clean) * 2 - 1

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        distances = []
        for _ in range(self.num_noise_samples):
            latents = self.ensemble.latents(images, generator)
            for (model, encoded), vae in zip(latents, self.decoders, strict=True):
                edited = self.edit(model, encoded, generator)
                decoded = vae.decode(model.scale.to_autoencoder(edited)).sample
                distances.append((decoded - self.goal).flatten(1).norm(dim=1))
        return -torch.stack(distances).mean(dim=0)

    def edit(self, model: Surrogate, latents: Tensor, generator: torch.Generator) -> Tensor:
        """Add noise to latents, and denoise them in a few steps.

        Args:
            model: The model.
            latents: (B, C, h, w).
            generator: Source of the noise.
        """
        alphas_cumprod = model.schedule.alphas_cumprod
        top = round(self.strength * (len(alphas_cumprod) - 1))
        times = torch.linspace(top, 0, self.steps + 1).long()[:-1]
        signals = [alphas_cumprod[int(time)].expand(len(latents)) for time in times]
        signals.append(torch.ones_like(signals[0]))
        source = as_sharded(generator)
        noisy = diffuse(latents, source.randn(latents), signals[0])
        for time, signal, before in zip(times, signals[:-1], signals[1:], strict=True):
            timesteps = torch.full((len(latents),), int(time), device=latents.device)
            predicted = self.ensemble.denoise(model, noisy, timesteps)
            noisy = ancestral_step(noisy, predicted, source.randn(noisy), signal, before)
        return noisy


def _mean(vae: Any, images: Tensor) -> Tensor:
    """Encode images in [0, 1] to the mean of their latents."""
    mean: Tensor = vae.encode(images * 2 - 1).latent_dist.mean
    return mean
