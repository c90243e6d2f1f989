"""Base of the objectives that change a pipeline's weights."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor, nn

from models.denoisers.unet import tokenize
from models.noise import diffuse, draw_noise
from models.pipelines import open_pipeline
from rid.pairs.objective import ModelObjective


class PipelineObjective(ModelObjective):
    """Objective on one whole pipeline, whose weights it may change.

    New clean images reset the pipeline to its initial weights.
    """

    one_model = True
    clean = torch.empty(0)

    @cached_property
    def pipeline(self) -> Any:
        """The pipeline, opened on first use."""
        (name,) = self.models
        pipeline = open_pipeline(name)
        pipeline.scheduler = DDIMScheduler.from_config(
            pipeline.scheduler.config,
            clip_sample=False,
        )
        pipeline.vae.eval().requires_grad_(False)
        return pipeline

    @cached_property
    def networks(self) -> nn.ModuleDict:
        """UNet and text encoder."""
        pipeline = self.pipeline
        return nn.ModuleDict(
            {"unet": pipeline.unet.eval(), "text_encoder": pipeline.text_encoder.eval()}
        )

    @cached_property
    def trainable(self) -> nn.ModuleDict:
        """UNet and text encoder, with gradients where they are trained."""
        return self.networks

    @cached_property
    def schedule(self) -> DDPMScheduler:
        """The noise schedule."""
        return DDPMScheduler.from_config(self.pipeline.scheduler.config)

    @cached_property
    def initial_state(self) -> dict[str, Any]:
        """The weights before all training."""
        return copy.deepcopy(self.trainable.state_dict())

    def is_new(self, clean: Tensor) -> bool:
        """Move to the images' device, and reset the weights if the images are new."""
        initial = self.initial_state
        self.pipeline.to(clean.device)
        if torch.equal(self.clean.to(clean), clean):
            return False
        self.clean = clean
        self.trainable.load_state_dict(initial)
        return True

    def denoising_loss(self, images: Tensor, prompt: str, generator: torch.Generator) -> Tensor:
        """Compute the denoising loss at a random timestep.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].
            prompt: Prompt of the UNet.
            generator: Source of timesteps and noise.

        Returns:
            (B,).
        """
        latents = self.encode(images, generator)
        alphas_cumprod = self.schedule.alphas_cumprod.to(latents.device)
        noise, _, timesteps = draw_noise(latents, alphas_cumprod, generator)
        return self.error(latents, noise, timesteps, prompt)

    def encode(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Encode images in [0, 1] to sampled, scaled latents, (B, C, h, w)."""
        vae = self.pipeline.vae
        latents = vae.encode(images * 2 - 1).latent_dist.sample(generator)
        scaled: Tensor = (latents - (vae.config.shift_factor or 0.0)) * vae.config.scaling_factor
        return scaled

    def error(self, latents: Tensor, noise: Tensor, timesteps: Tensor, prompt: str) -> Tensor:
        """Compute the error of the UNet's prediction.

        Args:
            latents: (B, C, h, w).
            noise: Standard normal, same shape.
            timesteps: (B,) int64.
            prompt: Prompt of the UNet.

        Returns:
            (B,).
        """
        alpha_bar = self.schedule.alphas_cumprod.to(latents.device)[timesteps]
        noisy = diffuse(latents, noise, alpha_bar)
        # prompt embeddings
        token_ids = tokenize(self.pipeline.tokenizer, [prompt]).to(latents.device)
        prompt_embeds = self.trainable["text_encoder"](token_ids).last_hidden_state
        prompt_embeds = prompt_embeds.expand(len(latents), -1, -1)
        # error of the prediction
        output = self.trainable["unet"](noisy, timesteps, prompt_embeds).sample
        predicts_velocity = self.schedule.config.prediction_type == "v_prediction"
        target = (
            self.schedule.get_velocity(latents, noise, timesteps) if predicts_velocity else noise
        )
        return F.mse_loss(output, target, reduction="none").mean(dim=(1, 2, 3))
