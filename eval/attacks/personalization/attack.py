"""Personalization of a diffusion model: shared training and sampling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler
from torch import Tensor, nn

from checkpoints.folders import pipeline_folder
from eval.attacks.attack import Attack
from eval.attacks.personalization.recipe import Recipe
from models.denoisers import Conditions, Family, open_family
from models.denoisers.latents import LatentScale
from models.denoisers.schedules import DDPMSchedule, NoiseSchedule
from models.noise import diffuse
from models.pipelines import open_pipeline

LOSS_CHECK_EVERY = 50
"""Steps between checks for a finite loss."""

Posterior = tuple[Tensor, Tensor]
"""Scaled mean and standard deviation of images' latents, each (n, C, h, w)."""

Learned = dict[str, dict[str, Tensor]]
"""Tensors in main memory by the name of the file that diffusers reads them from."""


class Personalization(Attack):
    """Personalization attack: fine-tunes a model of any family on the person's images.

    Args:
        config: The recipe.
    """

    keeps_weights = True
    """True if the learned weights are small enough to keep."""
    negative_prompt: str | None = None
    """Negative prompt of the attacker's images; None for the empty one."""

    def __init__(self, config: Recipe) -> None:
        self.config = config
        self.model = config.model
        self._class_latents: Posterior | None = None

    @abstractmethod
    def trainable(self) -> AbstractContextManager[list[nn.Parameter]]:
        """Make the attack's parameters trainable, and restore them afterwards."""

    def learned(self) -> Learned:
        """Return what was trained, as diffusers reads it; empty for whole networks."""
        return {}

    @cached_property
    def family(self) -> Family:
        """The family of the attacker's model."""
        return open_family(self.config.model)

    @cached_property
    def schedule(self) -> NoiseSchedule:
        """The noise schedule of the model's training."""
        return self.family.schedule()

    @cached_property
    def pipeline(self) -> Any:
        """The attacker's model, frozen, on the attack's device.

        Raises:
            FileNotFoundError: If the model cannot be found.
        """
        config, family = self.config, self.family
        dtype = torch.bfloat16 if config.precision == "bf16-true" else torch.float32
        # Weights that are created in inference mode cannot be trained.
        with torch.inference_mode(False):
            pipeline = open_pipeline(config.model, family.pipeline_class, dtype)
        if config.sampler == "ddim" and isinstance(self.schedule, DDPMSchedule):
            # By default DDIM clips its estimates to [-1, 1], which suits pixels, not latents.
            pipeline.scheduler = DDIMScheduler.from_config(
                pipeline.scheduler.config, clip_sample=False
            )
        for part in pipeline.components.values():
            if isinstance(part, nn.Module):
                part.eval().requires_grad_(False)
        if config.gradient_checkpointing:
            getattr(pipeline, family.network).enable_gradient_checkpointing()
        self.prepare(pipeline)
        return pipeline.to(self.device)

    @property
    def network(self) -> Any:
        """The denoising network."""
        return getattr(self.pipeline, self.family.network)

    def clip_encoders(self) -> list[Any]:
        """Return the CLIP text encoders."""
        return [getattr(self.pipeline, encoder) for encoder, _ in self.family.clip_encoders]

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
        return {"class": type(self).__name__} | self.config.record()

    def steps(self, images: int) -> int:
        return self.config.steps

    def prompts(self, images: int) -> list[str]:
        return self.config.plain_prompts()

    @property
    def resolution(self) -> int:
        """Side of the images, in pixels."""
        return self.config.resolution or self.family.side(self.pipeline)

    def __call__(
        self,
        images: Tensor,
        on_step: Callable[[float], None] | None = None,
        on_learned: Callable[[Learned], None] | None = None,
    ) -> Tensor:
        """Fine-tune on a person's images, then generate images.

        Args:
            images: The victim's images, (n, 3, S, S) RGB in [0, 1]; resized to the model's side if
                they differ.
            on_step: Called with the loss after each optimizer step, for a progress bar.
            on_learned: Called with :meth:`learned` after the training.

        Returns:
            ``samples`` images for each prompt, prompt by prompt, (n, 3, S, S) in [0, 1], where S is
            the model's own side.

        Raises:
            FloatingPointError: If the training diverges, or an image has values that are not
                finite: such images would pass for a perfect protection.
        """
        config = self.config
        generated = []
        with torch.inference_mode(False), torch.enable_grad():
            # The class images come from the original model, so they precede the training.
            prior = self.class_latents() if config.prior_weight else None
            with self.trainable() as parameters:
                self._train(self._encode(images.clone()), prior, parameters, on_step)
                if on_learned is not None:
                    on_learned(self.learned())
                for template in config.sample_prompts:
                    prompt = self.sample_prompt(template)
                    counts = (config.samples, config.sample_seed, config.sample_steps)
                    generated.append(self._sample(prompt, *counts, self.negative_prompt))
        return torch.cat(generated)

    def training_prompts(self) -> tuple[str, str]:
        """Return the prompts of the victim's images and of the class images."""
        return self.config.fill_prompt(self.config.instance_prompt), self.config.class_prompt

    def sample_prompt(self, template: str) -> str:
        """Return the prompt of generated images, from one of ``sample_prompts``."""
        return self.config.fill_prompt(template)

    def conditions(self, prompts: list[str], repeats: int) -> Conditions:
        """Encode prompts, each repeated."""
        encoded = self.family.encode(self.pipeline, prompts)
        return {key: value.repeat_interleave(repeats, dim=0) for key, value in encoded.items()}

    def _train(
        self,
        instance: Posterior,
        prior: Posterior | None,
        parameters: list[nn.Parameter],
        on_step: Callable[[float], None] | None,
    ) -> None:
        """Train on the victim's latents, with prior preservation."""
        config, network = self.config, self.network
        schedule = self.schedule.to(self.device)
        generator = torch.Generator().manual_seed(config.seed)
        size = min(config.batch_size, len(instance[0]))
        prompts = list(self.training_prompts())[: 2 if prior else 1]
        optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay)

        # The conditions change between steps only if something outside the network is trained.
        network_ids = {id(parameter) for parameter in network.parameters()}
        trains_text = any(id(parameter) not in network_ids for parameter in parameters)
        with torch.no_grad():
            conditions = self.conditions(prompts, size)

        for step in range(config.steps):
            # Draw latents, noise and timesteps.
            posteriors = [posterior for posterior in (instance, prior) if posterior]
            latents = torch.cat([_draw_latents(one, size, generator) for one in posteriors])
            noise, signal, timesteps = schedule.draw(latents, generator)
            noisy, times = schedule.inputs(diffuse(latents, noise, signal), timesteps)

            # Predict the noise, or the velocity.
            with self._precision():
                if trains_text:
                    conditions = self.conditions(prompts, size)
                output = self.family.predict(network, noisy, times, conditions)
            target = schedule.target(latents, noise, timesteps)

            # Weight the loss of the class images, and update.
            parts = zip(output.split(size), target.split(size), strict=True)
            losses = [F.mse_loss(predicted.float(), wanted) for predicted, wanted in parts]
            loss = losses[0] + (config.prior_weight * losses[1] if prior else 0)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, config.clip)
            optimizer.step()
            if step % LOSS_CHECK_EVERY == 0 and not loss.isfinite():
                msg = f"the attack's loss became {loss.item()} at step {step}: lower lr"
                raise FloatingPointError(msg)
            if on_step is not None:
                on_step(loss.item())
        optimizer.zero_grad(set_to_none=True)
        if not all(parameter.isfinite().all() for parameter in parameters):
            msg = f"the attack's weights are not finite after {config.steps} steps: lower lr"
            raise FloatingPointError(msg)

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
        scale = LatentScale.of(vae)
        mean = scale.to_denoiser(torch.cat([chunk.mean for chunk in chunks]))
        return mean, scale.std_to_denoiser(torch.cat([chunk.std for chunk in chunks]))

    @torch.no_grad()
    def _sample(
        self, prompt: str, count: int, seed: int, steps: int, negative_prompt: str | None = None
    ) -> Tensor:
        """Generate images of one prompt.

        Args:
            prompt: The prompt.
            count: Number of images.
            seed: Seed of the first image; the following images count up from it.
            steps: Denoising steps.
            negative_prompt: What the images should not show.

        Returns:
            (count, 3, S, S) in [0, 1].
        """
        images = []
        for start in range(0, count, self.config.chunk):
            numbers = range(start, min(start + self.config.chunk, count))
            generators = [torch.Generator().manual_seed(seed + number) for number in numbers]
            unwanted = {} if negative_prompt is None else {"negative_prompt": negative_prompt}
            with self._precision():
                output = self.pipeline(
                    prompt=prompt,
                    height=self.resolution,
                    width=self.resolution,
                    num_images_per_prompt=len(generators),
                    num_inference_steps=steps,
                    guidance_scale=self.config.guidance,
                    generator=generators,
                    output_type="pt",
                    **unwanted,
                )
            images.append(output.images.float().cpu())
        generated = torch.cat(images)
        if not generated.isfinite().all():
            msg = f"{self.model} generated images with values that are not finite: lower lr"
            raise FloatingPointError(msg)
        return generated

    def _precision(self) -> AbstractContextManager[Any]:
        """Context of the configured precision."""
        if self.config.precision != "32":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()


def _draw_latents(posterior: Posterior, count: int, generator: torch.Generator) -> Tensor:
    """Sample the posteriors of randomly chosen images."""
    mean, std = posterior
    chosen = torch.randint(len(mean), (count,), generator=generator).to(mean.device)
    noise = torch.randn(mean[chosen].shape, generator=generator).to(mean)
    return mean[chosen] + std[chosen] * noise
