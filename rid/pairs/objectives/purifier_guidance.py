"""Guidance against purification: frequencies of patches, and erroneous timesteps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor

from checkpoints.folders import model_folder
from checkpoints.whole import explaining_load_errors
from engine.manifest import fingerprint
from images.transforms.differentiable import resize
from models.noise import diffuse, draw_noise
from rid.lineage import Fingerprint
from rid.pairs.objective import ModelObjective


@dataclass(eq=False)
class PurifierGuidance(ModelObjective):
    """Guidance of AntiPure against the unconditional diffusion models of purifiers.

    Source: the abstract of AntiPure (arXiv 2509.13922). Patch-wise frequency guidance lets the
    model change the high frequencies of patches as little as possible. Erroneous timestep guidance
    draws the model's prediction to that for another timestep. **The paper's formulas, weights and
    patch size were not at hand: terms and defaults are ours, and results are not AntiPure's.**

    Attributes:
        models: Folders or Hub ids of unconditional ``DDPMPipeline``s; the objective is their mean.
        timestep_range: Lowest and highest timestep to draw, as fractions of the noise schedule;
            purifiers add noise up to a tenth of it.
        wrong_timestep: The erroneous timestep, as a fraction of the noise schedule.
        patch: Side of a patch in pixels; image sides are multiples of it.
        cutoff: Lowest high frequency, as a fraction of the highest, from 0 to 1.
        denoising_weight: Weight of the denoising loss.
        frequency_weight: Weight of the patch-wise frequency guidance.
        timestep_weight: Weight of the erroneous timestep guidance.
    """

    name = "purifier guidance"

    models: list[str]
    timestep_range: tuple[float, float] = (0.0, 0.1)
    wrong_timestep: float = 0.9
    patch: int = 8
    cutoff: float = 0.5
    denoising_weight: float = 1.0
    frequency_weight: float = 1.0
    timestep_weight: float = 1.0

    def weights(self) -> list[Fingerprint]:
        return [fingerprint(name, Path(_folder(name))) for name in self.models]

    @cached_property
    def networks(self) -> list[Any]:
        """The denoisers, opened on first use."""
        networks = []
        for folder in map(_folder, self.models):
            with explaining_load_errors(folder):
                network = UNet2DModel.from_pretrained(folder, subfolder="unet")
            networks.append(network.eval().requires_grad_(False))
        return networks

    @cached_property
    def alphas(self) -> list[Tensor]:
        """Cumulative alphas of the models' noise schedules, (timesteps,) each."""
        alphas = []
        for folder in map(_folder, self.models):
            with explaining_load_errors(folder):
                schedule = DDPMScheduler.from_pretrained(folder, subfolder="scheduler")
            alphas.append(schedule.alphas_cumprod)
        return alphas

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        for network in self.networks:
            network.to(clean.device)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        values = []
        for network, alphas in zip(self.networks, self.alphas, strict=True):
            side = int(network.config.sample_size)
            pixels = resize(images, side, side, "bicubic") * 2 - 1
            noise, signal, timesteps = draw_noise(
                pixels, alphas.to(pixels.device), generator, self.timestep_range
            )
            noisy = diffuse(pixels, noise, signal)
            predicted = network(noisy, timesteps).sample
            # denoising loss
            value = self.denoising_weight * (predicted - noise).square().mean(dim=(1, 2, 3))
            # patch-wise frequency guidance on the predicted clean image
            signal = signal.view(-1, 1, 1, 1)
            restored = (noisy - (1 - signal).sqrt() * predicted) / signal.sqrt()
            change = high_frequencies(restored - pixels, self.patch, self.cutoff)
            value = value - self.frequency_weight * change
            # erroneous timestep guidance
            with torch.no_grad():
                wrong = torch.full_like(timesteps, int(self.wrong_timestep * (len(alphas) - 1)))
                mistaken = network(noisy, wrong).sample
            distance = (predicted - mistaken).square().mean(dim=(1, 2, 3))
            values.append(value - self.timestep_weight * distance)
        return torch.stack(values).mean(dim=0)


def high_frequencies(images: Tensor, patch: int, cutoff: float) -> Tensor:
    """Compute the mean energy of patches in their high frequencies.

    Args:
        images: (B, C, S, S).
        patch: Side of a patch; S is a multiple of it.
        cutoff: Lowest high frequency, as a fraction of the highest; a frequency is the larger of
            the horizontal and the vertical one.

    Returns:
        (B,); with a cutoff of 0, the mean square of the images.

    Raises:
        ValueError: If the side is no multiple of the patch.
    """
    side = images.shape[-1]
    if side % patch:
        msg = f"patch is {patch}, but images of {side} pixels are no multiple of it"
        raise ValueError(msg)
    patches = images.unfold(2, patch, patch).unfold(3, patch, patch)
    spectrum = torch.fft.fft2(patches, norm="ortho")
    frequency = torch.fft.fftfreq(patch, device=images.device).abs() * 2
    high = torch.maximum(frequency[:, None], frequency[None]) >= cutoff
    return (spectrum.abs().square() * high).mean(dim=(1, 2, 3, 4, 5))


def _folder(name: str) -> Path:
    """Find the folder of an unconditional pipeline.

    Raises:
        FileNotFoundError: If it cannot be found.
    """
    return model_folder(name, "unet/config.json", "scheduler/scheduler_config.json")
