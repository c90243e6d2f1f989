"""Base of the objectives that change a pipeline's weights."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler
from torch import Tensor, nn

from models.denoisers import Family, open_family
from models.denoisers.latents import LatentScale
from models.denoisers.schedules import DDPMSchedule, NoiseSchedule
from models.noise import diffuse
from models.pipelines import open_pipeline
from rid.pairs.objective import ModelObjective


class PipelineObjective(ModelObjective):
    """Objective on one whole pipeline, whose weights it may change.

    New clean images reset the pipeline to its initial weights.
    """

    one_model = True
    reads_unet = False
    """The objective reads the layers of a UNet, so that other networks are refused."""
    clean = torch.empty(0)

    @cached_property
    def family(self) -> Family:
        """The family of the model.

        Raises:
            ValueError: If the objective cannot read its network.
        """
        (name,) = self.models
        family = open_family(name)
        if self.reads_unet and family.network != "unet":
            msg = (
                f"{name} has a {family.network}, and the objective '{self.name}' reads the layers "
                "of a UNet; choose another objective"
            )
            raise ValueError(msg)
        return family

    @cached_property
    def pipeline(self) -> Any:
        """The pipeline, opened on first use."""
        (name,) = self.models
        pipeline = open_pipeline(name, self.family.pipeline_class)
        if isinstance(self.schedule, DDPMSchedule):
            pipeline.scheduler = DDIMScheduler.from_config(
                pipeline.scheduler.config,
                clip_sample=False,
            )
        for name, part in pipeline.components.items():
            if isinstance(part, nn.Module):
                part.eval().requires_grad_(name in self.network_names)
        return pipeline

    @property
    def network_names(self) -> list[str]:
        """Names of the denoising network and the CLIP text encoders in the pipeline."""
        return [self.family.network, *(encoder for encoder, _ in self.family.clip_encoders)]

    @cached_property
    def networks(self) -> nn.ModuleDict:
        """Denoising network and CLIP text encoders."""
        return nn.ModuleDict({name: getattr(self.pipeline, name) for name in self.network_names})

    @cached_property
    def trainable(self) -> nn.ModuleDict:
        """Denoising network and text encoders, with gradients where they are trained."""
        return self.networks

    @cached_property
    def schedule(self) -> NoiseSchedule:
        """The noise schedule."""
        return self.family.schedule()

    @cached_property
    def initial_state(self) -> dict[str, Any]:
        """The weights before all training."""
        return copy.deepcopy(self.trainable.state_dict())

    def is_new(self, clean: Tensor) -> bool:
        """Move to the images' device, and reset the weights if the images are new."""
        initial = self.initial_state
        self.pipeline.to(clean.device)
        self.schedule.to(clean.device)
        if torch.equal(self.clean.to(clean), clean):
            return False
        self.clean = clean
        self.trainable.load_state_dict(initial)
        return True

    def denoising_loss(self, images: Tensor, prompt: str, generator: torch.Generator) -> Tensor:
        """Compute the denoising loss at a random timestep.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].
            prompt: Prompt of the model.
            generator: Source of timesteps and noise.

        Returns:
            (B,).
        """
        latents = self.encode(images, generator)
        noise, _, timesteps = self.schedule.draw(latents, generator)
        return self.error(latents, noise, timesteps, prompt)

    def encode(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Encode images in [0, 1] to sampled, scaled latents, (B, C, h, w)."""
        vae = self.pipeline.vae
        latents = vae.encode(images * 2 - 1).latent_dist.sample(generator)
        return LatentScale.of(vae).to_denoiser(latents)

    def error(self, latents: Tensor, noise: Tensor, timesteps: Tensor, prompt: str) -> Tensor:
        """Compute the error of the network's prediction.

        Args:
            latents: (B, C, h, w).
            noise: Standard normal, same shape.
            timesteps: (B,) int64.
            prompt: Prompt of the model.

        Returns:
            (B,).
        """
        noisy = diffuse(latents, noise, self.schedule.alphas_cumprod[timesteps])
        inputs, times = self.schedule.inputs(noisy, timesteps)
        conditions = {
            key: value.expand(len(latents), *value.shape[1:])
            for key, value in self.family.encode(self.pipeline, [prompt]).items()
        }
        # error of the prediction
        network = self.trainable[self.family.network]
        output = self.family.predict(network, inputs, times, conditions)
        target = self.schedule.target(latents, noise, timesteps)
        return F.mse_loss(output, target, reduction="none").mean(dim=(1, 2, 3))
