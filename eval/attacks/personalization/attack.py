"""Teaching a diffusion model a person: the training and sampling that all recipes share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, Self

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, DDPMScheduler, DiffusionPipeline, StableDiffusionPipeline
from torch import Tensor, nn

from eval.attacks.personalization.recipe import Recipe
from models.pipelines import open_pipeline

Posterior = tuple[Tensor, Tensor]
"""Scaled mean and deviation of pictures' latents, each (n, C, h, w)."""


class Personalization(ABC):
    """An attack, to be run on one person after another; every run starts from the untouched model.

    The model is loaded on first use, so that a table of many attacks can be stated before any of them runs.

    Args:
        config: The recipe.
    """

    pipeline_class: type[DiffusionPipeline] = StableDiffusionPipeline

    def __init__(self, config: Recipe) -> None:
        self.config, self.device = config, torch.device("cpu")
        self._class_latents: Posterior | None = None

    @abstractmethod
    def learned(self) -> AbstractContextManager[list[nn.Parameter]]:
        """The parameters the attack trains, trainable within the context and as they were after it."""

    @cached_property
    def pipeline(self) -> Any:
        """The attacker's model in float32, frozen, on the attack's device.

        Raises:
            FileNotFoundError: If the model cannot be found.
        """
        with torch.inference_mode(
            False
        ):  # weights made in inference mode could not be trained through
            pipeline = open_pipeline(self.config.model, self.pipeline_class)
        if self.config.sampler == "ddim":
            # Without a word to the contrary DDIM would clip its estimates to [-1, 1], which is meant for pixels, not latents.
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
        """Anything to be done to a freshly loaded pipeline, such as new words for its tokenizer."""
        return

    def to(self, device: torch.device | str) -> Self:
        """Move the model to a device; pictures may come from any."""
        self.device = torch.device(device)
        if self._class_latents is not None:
            mean, deviation = self._class_latents
            self._class_latents = (mean.to(self.device), deviation.to(self.device))
        if "pipeline" in self.__dict__:
            self.pipeline.to(self.device)
        return self

    @property
    def resolution(self) -> int:
        """Side of the pictures the model makes, in pixels."""
        return self.pipeline.unet.config.sample_size * self.pipeline.vae_scale_factor

    def __call__(self, images: Tensor, on_step: Callable[[float], None] | None = None) -> Tensor:
        """Learn a person and draw them.

        Args:
            images: The victim's pictures, (n, 3, S, S) RGB in [0, 1]; resized to the model's side if they differ.
            on_step: Called with the loss after each optimiser step, for a progress bar.

        Returns:
            ``samples`` pictures for each prompt, prompt by prompt, (n, 3, S, S) in [0, 1], S the model's own side.
        """
        config = self.config
        with torch.inference_mode(False), torch.enable_grad():
            prior = (
                self.class_latents() if config.prior_weight else None
            )  # before anything is learned
            with self.learned() as parameters:
                self._train(self._encode(images.clone()), prior, parameters, on_step)
                asked = [config.said(prompt) for prompt in config.sample_prompts]
                drawn = [
                    self._sample(prompt, config.samples, config.sample_seed, config.sample_steps)
                    for prompt in asked
                ]
        return torch.cat(drawn)

    def conditions(self, prompts: list[str], repeats: int) -> dict[str, Any]:
        """What the UNet is told for prompts, each repeated: the keyword arguments beside latents and timesteps."""
        tokenizer = self.pipeline.tokenizer
        length = tokenizer.model_max_length
        ids = tokenizer(
            prompts, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).input_ids
        text = self.pipeline.text_encoder(ids.to(self.device)).last_hidden_state
        return {"encoder_hidden_states": text.repeat_interleave(repeats, dim=0)}

    def _train(
        self,
        mine: Posterior,
        prior: Posterior | None,
        parameters: list[nn.Parameter],
        on_step: Callable[[float], None] | None,
    ) -> None:
        config, unet = self.config, self.pipeline.unet
        schedule = DDPMScheduler.from_config(self.pipeline.scheduler.config)
        source = torch.Generator().manual_seed(config.seed)
        size = min(config.batch_size, len(mine[0]))
        prompts = [config.said(config.instance_prompt)] + ([config.class_prompt] if prior else [])
        optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay)
        of_unet = {id(parameter) for parameter in unet.parameters()}
        text_learns = any(id(parameter) not in of_unet for parameter in parameters)
        with torch.no_grad():
            told = self.conditions(prompts, size)
        for _ in range(config.steps):
            latents = torch.cat(
                [_pick(posterior, size, source) for posterior in (mine, prior) if posterior]
            )
            noise = torch.randn(latents.shape, generator=source).to(latents)
            steps = torch.randint(
                len(schedule.alphas_cumprod), (len(latents),), generator=source
            ).to(self.device)
            noisy = schedule.add_noise(latents, noise, steps)
            with self._precision():
                output = unet(
                    noisy, steps, **(self.conditions(prompts, size) if text_learns else told)
                ).sample
            velocity = schedule.config.prediction_type == "v_prediction"
            target = schedule.get_velocity(latents, noise, steps) if velocity else noise
            losses = [
                F.mse_loss(a.float(), b)
                for a, b in zip(output.split(size), target.split(size), strict=True)
            ]
            loss = losses[0] + (config.prior_weight * losses[1] if prior else 0)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, config.clip)
            optimizer.step()
            if on_step is not None:
                on_step(loss.item())
        optimizer.zero_grad(set_to_none=True)

    def class_latents(self) -> Posterior:
        """Posterior of the class pictures, made by the untouched model on first use."""
        if self._class_latents is None:
            made = self._sample(
                self.config.class_prompt,
                self.config.class_images,
                self.config.seed,
                self.config.class_steps,
            )
            self._class_latents = self._encode(made)
        return self._class_latents

    @torch.no_grad()
    def _encode(self, images: Tensor) -> Posterior:
        vae, side = self.pipeline.vae, self.resolution
        if images.shape[-2:] != (side, side):
            images = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
        chunks = [
            vae.encode(part.to(self.device) * 2 - 1).latent_dist
            for part in images.split(self.config.chunk)
        ]
        shift, scale = vae.config.shift_factor or 0.0, vae.config.scaling_factor
        return (torch.cat([chunk.mean for chunk in chunks]) - shift) * scale, torch.cat(
            [chunk.std for chunk in chunks]
        ) * scale

    @torch.no_grad()
    def _sample(self, prompt: str, count: int, seed: int, steps: int) -> Tensor:
        pictures = []
        for start in range(0, count, self.config.chunk):
            sources = [
                torch.Generator().manual_seed(seed + index)
                for index in range(start, min(start + self.config.chunk, count))
            ]
            with self._precision():
                made = self.pipeline(
                    prompt,
                    num_images_per_prompt=len(sources),
                    num_inference_steps=steps,
                    guidance_scale=self.config.guidance,
                    generator=sources,
                    output_type="pt",
                )
            pictures.append(made.images.float().cpu())
        return torch.cat(pictures)

    def _precision(self) -> AbstractContextManager[Any]:
        if self.config.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()


def _pick(posterior: Posterior, count: int, source: torch.Generator) -> Tensor:
    """Posterior samples of randomly chosen pictures."""
    mean, deviation = posterior
    chosen = torch.randint(len(mean), (count,), generator=source).to(mean.device)
    noise = torch.randn(mean[chosen].shape, generator=source).to(mean)
    return mean[chosen] + deviation[chosen] * noise
