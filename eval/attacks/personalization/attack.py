"""Personalization of a diffusion model: shared training and sampling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, DDPMScheduler, DiffusionPipeline, StableDiffusionPipeline
from torch import Tensor, nn

from checkpoints.folders import pipeline_folder
from eval.attacks.attack import Attack
from eval.attacks.personalization.recipe import Recipe
from models.pipelines import open_pipeline

Posterior = tuple[Tensor, Tensor]
"""Scaled mean and standard deviation of images' latents, each (n, C, h, w)."""


class Personalization(Attack):
    """Personalization attack: fine-tunes a model on the person's images.

    Args:
        config: The recipe.
    """

    pipeline_class: type[DiffusionPipeline] = StableDiffusionPipeline

    def __init__(self, config: Recipe) -> None:
        self.config = config
        self.model = config.model
        self._class_latents: Posterior | None = None

    @abstractmethod
    def trainable(self) -> AbstractContextManager[list[nn.Parameter]]:
        """Make the attack's parameters trainable, and restore them afterwards."""

    @cached_property
    def pipeline(self) -> Any:
        """The attacker's model in float32, frozen, on the attack's device.

        Raises:
            FileNotFoundError: If the model cannot be found.
        """
        # Weights that are created in inference mode cannot be trained.
        with torch.inference_mode(False):
            pipeline = open_pipeline(self.config.model, self.pipeline_class)
        if self.config.sampler == "ddim":
            # By default DDIM clips its estimates to [-1, 1], which suits pixels, not latents.
            pipeline.scheduler = DDIMScheduler.from_config(
                pipeline.scheduler.config, clip_sample=False
            )
        for part in pipeline.components.values():
            if isinstance(part, nn.Module):
                part.eval().requires_grad_(False)
        if self.config.gradient_checkpointing:
            pipeline.unet.enable_gradient_checkpointing()
        self.prepare(pipeline)
        return pipeline.to(self.device)

    def prepare(self, pipeline: Any) -> None:
        """Adapt a freshly loaded pipeline, for example its tokenizer."""
        return

    def to(self, device: torch.device | str) -> Self:
        if self._class_latents is not None:
            mean, std = self._class_latents
            self._class_latents = (mean.to(device), std.to(device))
        return super().to(device)

    def files(self) -> dict[str, tuple[str, Path]]:
        return {"attacked": (self.model, Path(pipeline_folder(self.model)))}

    def record(self) -> dict[str, Any]:
        return {"class": type(self).__name__} | asdict(self.config)

    def steps(self, images: int) -> int:
        return self.config.steps

    def prompts(self, images: int) -> list[str]:
        return self.config.plain_prompts()

    @property
    def resolution(self) -> int:
        """Side of the model's images, in pixels."""
        return self.pipeline.unet.config.sample_size * self.pipeline.vae_scale_factor

    def __call__(self, images: Tensor, on_step: Callable[[float], None] | None = None) -> Tensor:
        """Fine-tune on a person's images, then generate images.

        Args:
            images: The victim's images, (n, 3, S, S) RGB in [0, 1]; resized to the model's side if
                they differ.
            on_step: Called with the loss after each optimizer step, for a progress bar.

        Returns:
            ``samples`` images for each prompt, prompt by prompt, (n, 3, S, S) in [0, 1], where S is
            the model's own side.
        """
        config = self.config
        generated = []
        with torch.inference_mode(False), torch.enable_grad():
            # The class images come from the original model, so they precede the training.
            prior = self.class_latents() if config.prior_weight else None
            with self.trainable() as parameters:
                self._train(self._encode(images.clone()), prior, parameters, on_step)
                for template in config.sample_prompts:
                    prompt = config.fill_prompt(template)
                    generated.append(
                        self._sample(
                            prompt, config.samples, config.sample_seed, config.sample_steps
                        )
                    )
        return torch.cat(generated)

    def unet_conditions(self, prompts: list[str], repeats: int) -> dict[str, Any]:
        """Encode prompts, each repeated, as the UNet's conditioning arguments."""
        tokenizer = self.pipeline.tokenizer
        length = tokenizer.model_max_length
        ids = tokenizer(
            prompts, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).input_ids
        text = self.pipeline.text_encoder(ids.to(self.device)).last_hidden_state
        return {"encoder_hidden_states": text.repeat_interleave(repeats, dim=0)}

    def _train(
        self,
        instance: Posterior,
        prior: Posterior | None,
        parameters: list[nn.Parameter],
        on_step: Callable[[float], None] | None,
    ) -> None:
        """Train on the victim's latents, with prior preservation."""
        config, unet = self.config, self.pipeline.unet
        schedule = DDPMScheduler.from_config(self.pipeline.scheduler.config)
        predicts_velocity = schedule.config.prediction_type == "v_prediction"
        generator = torch.Generator().manual_seed(config.seed)
        size = min(config.batch_size, len(instance[0]))
        prompts = [config.fill_prompt(config.instance_prompt)]
        if prior:
            prompts.append(config.class_prompt)
        optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay)

        # The conditions change between steps only if something outside the UNet is trained.
        unet_ids = {id(parameter) for parameter in unet.parameters()}
        trains_text = any(id(parameter) not in unet_ids for parameter in parameters)
        with torch.no_grad():
            conditions = self.unet_conditions(prompts, size)

        for _ in range(config.steps):
            # Draw latents, noise and timesteps.
            posteriors = [posterior for posterior in (instance, prior) if posterior]
            latents = torch.cat([_draw_latents(one, size, generator) for one in posteriors])
            noise = torch.randn(latents.shape, generator=generator).to(latents)
            timesteps = torch.randint(
                len(schedule.alphas_cumprod), (len(latents),), generator=generator
            ).to(self.device)
            noisy = schedule.add_noise(latents, noise, timesteps)

            # Predict the noise, or the velocity.
            with self._precision():
                if trains_text:
                    conditions = self.unet_conditions(prompts, size)
                output = unet(noisy, timesteps, **conditions).sample
            target = noise
            if predicts_velocity:
                target = schedule.get_velocity(latents, noise, timesteps)

            # Weight the loss of the class images, and update.
            parts = zip(output.split(size), target.split(size), strict=True)
            losses = [F.mse_loss(predicted.float(), wanted) for predicted, wanted in parts]
            loss = losses[0] + (config.prior_weight * losses[1] if prior else 0)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, config.clip)
            optimizer.step()
            if on_step is not None:
                on_step(loss.item())
        optimizer.zero_grad(set_to_none=True)

    def class_latents(self) -> Posterior:
        """Posterior of the class images, generated on first use."""
        if self._class_latents is None:
            images = self._sample(
                self.config.class_prompt,
                self.config.class_images,
                self.config.seed,
                self.config.class_steps,
            )
            self._class_latents = self._encode(images)
        return self._class_latents

    @torch.no_grad()
    def _encode(self, images: Tensor) -> Posterior:
        """Encode images (n, 3, S, S) in [0, 1]."""
        vae, side = self.pipeline.vae, self.resolution
        if images.shape[-2:] != (side, side):
            images = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
        chunks = []
        for part in images.split(self.config.chunk):
            chunks.append(vae.encode(part.to(self.device) * 2 - 1).latent_dist)
        shift, scale = vae.config.shift_factor or 0.0, vae.config.scaling_factor
        mean = (torch.cat([chunk.mean for chunk in chunks]) - shift) * scale
        std = torch.cat([chunk.std for chunk in chunks]) * scale
        return mean, std

    @torch.no_grad()
    def _sample(self, prompt: str, count: int, seed: int, steps: int) -> Tensor:
        """Generate images of one prompt.

        Args:
            prompt: The prompt.
            count: Number of images.
            seed: Seed of the first image; the following images count up from it.
            steps: Denoising steps.

        Returns:
            (count, 3, S, S) in [0, 1].
        """
        images = []
        for start in range(0, count, self.config.chunk):
            numbers = range(start, min(start + self.config.chunk, count))
            generators = [torch.Generator().manual_seed(seed + number) for number in numbers]
            with self._precision():
                output = self.pipeline(
                    prompt,
                    num_images_per_prompt=len(generators),
                    num_inference_steps=steps,
                    guidance_scale=self.config.guidance,
                    generator=generators,
                    output_type="pt",
                )
            images.append(output.images.float().cpu())
        return torch.cat(images)

    def _precision(self) -> AbstractContextManager[Any]:
        """Context of the configured precision."""
        if self.config.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()


def _draw_latents(posterior: Posterior, count: int, generator: torch.Generator) -> Tensor:
    """Sample the posteriors of randomly chosen images."""
    mean, std = posterior
    chosen = torch.randint(len(mean), (count,), generator=generator).to(mean.device)
    noise = torch.randn(mean[chosen].shape, generator=generator).to(mean)
    return mean[chosen] + std[chosen] * noise
