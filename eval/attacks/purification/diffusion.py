"""Purification by an unconditional pixel diffusion model: some noise, then the model's way back to a picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor

from checkpoints.folders import model_folder
from checkpoints.whole import explaining_load_errors
from eval.attacks.purification.purifier import Purifier
from images.transforms.differentiable import resize

UNCONDITIONAL = "xutongda/adm_imagenet_256x256_unconditional"
"""ADM at 256 pixels (arXiv 2105.05233), the model of both papers, converted; any unconditional DDPM of diffusers does."""


class DiffusionPurifier(Purifier):
    """The part both methods share.

    Args:
        model: Folder or Hub id of an unconditional ``DDPMPipeline``: a ``unet`` and a ``scheduler``.
        steps: How far into the noise: so many ancestral steps are taken back, of the model's usual 1,000.
        batch_size: Pictures or windows at a time.
    """

    model: str

    def __init__(self, model: str, steps: int, batch_size: int) -> None:
        if steps < 1 or batch_size < 1:
            msg = f"steps and batch_size must be at least 1, got {steps} and {batch_size}"
            raise ValueError(msg)
        self.model, self.steps, self.batch_size = model, steps, batch_size

    @cached_property
    def folder(self) -> Path:
        """Where the model is.

        Raises:
            FileNotFoundError: If it cannot be found.
        """
        return model_folder(self.model, "unet/config.json", "scheduler/scheduler_config.json")

    @cached_property
    def network(self) -> Any:
        """The denoiser, opened on first use."""
        with explaining_load_errors(self.folder):
            return (
                UNet2DModel.from_pretrained(self.folder, subfolder="unet")
                .eval()
                .requires_grad_(False)
                .to(self.device)
            )

    @cached_property
    def schedule(self) -> Any:
        """Its noise schedule.

        Raises:
            ValueError: If ``steps`` is more than it was trained for.
        """
        with explaining_load_errors(self.folder):
            schedule = DDPMScheduler.from_pretrained(self.folder, subfolder="scheduler")
        if self.steps > len(schedule.alphas_cumprod):
            msg = f"steps is {self.steps}, but {self.model} was trained with {len(schedule.alphas_cumprod)}"
            raise ValueError(msg)
        return schedule

    @property
    def side(self) -> int:
        """Side of the model's pictures."""
        return int(self.network.config.sample_size)

    @torch.no_grad()
    def wash(self, images: Tensor, source: torch.Generator) -> Tensor:
        """(n, 3, side, side) in [-1, 1] into the noise and back, ancestral sampling; the same shape, not clamped, not rounded."""
        network, schedule = self.network, self.schedule
        washed = []
        for part in images.split(self.batch_size):
            noise = torch.randn(part.shape, generator=source).to(self.device)
            x = schedule.add_noise(
                part.to(self.device),
                noise,
                torch.tensor([self.steps - 1] * len(part), device=self.device),
            )
            schedule.set_timesteps(len(schedule.alphas_cumprod))
            for step in range(self.steps - 1, -1, -1):
                x = schedule.step(network(x, step).sample, step, x, generator=source).prev_sample
            washed.append(x.to(images))
        return torch.cat(washed)


class DiffPure(DiffusionPurifier):
    """DiffPure (arXiv 2205.07460) by ancestral sampling: to the model's size, into the noise, back, to the picture's size.

    Args:
        model: Folder or Hub id of an unconditional ``DDPMPipeline``.
        steps: 150 in the paper for ImageNet, 100 in GrIDPure's comparison, which is the default.
        batch_size: Pictures at a time.
    """

    def __init__(self, model: str = UNCONDITIONAL, steps: int = 100, batch_size: int = 8) -> None:
        super().__init__(model, steps, batch_size)

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        height, width = images.shape[-2:]
        small = resize(images, self.side, self.side, "bicubic") * 2 - 1
        washed = (self.wash(small, source) + 1) / 2
        return resize(washed.clamp(0, 1), height, width, "bicubic")


class GridPure(DiffusionPurifier):
    """GrIDPure (Zhao et al., CVPR 2024): many light washes of overlapping windows at the picture's own size.

    Everything stays in floating point between iterations: the published program truncates to 8 bits each time, which darkens
    pictures by about five levels in ten iterations.

    Args:
        model: Folder or Hub id of an unconditional ``DDPMPipeline``; windows have its side and overlap by half.
        steps: Of each wash.
        iterations: How often.
        gamma: Share of the picture before the wash that is kept each time.
        batch_size: Windows at a time.
    """

    def __init__(
        self,
        model: str = UNCONDITIONAL,
        steps: int = 10,
        iterations: int = 20,
        gamma: float = 0.1,
        batch_size: int = 10,
    ) -> None:
        super().__init__(model, steps, batch_size)
        if iterations < 1 or not 0 <= gamma < 1:
            msg = f"iterations must be at least 1 and gamma from 0 to below 1, got {iterations} and {gamma}"
            raise ValueError(msg)
        self.iterations, self.gamma = iterations, gamma

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        height, width = images.shape[-2:]
        grown = resize(images, max(height, self.side), max(width, self.side), "bicubic") * 2 - 1
        for _ in range(self.iterations):
            windows = cut(grown, self.side)
            washed = paste(self.wash(windows, source), grown.shape, self.side)
            grown = (1 - self.gamma) * washed + self.gamma * grown
        return resize(((grown + 1) / 2).clamp(0, 1), height, width, "bicubic")


def origins(length: int, side: int) -> list[int]:
    """Where windows begin along one side: every half window, and one flush with the end."""
    starts = list(range(0, length - side + 1, side // 2))
    return starts if starts[-1] == length - side else [*starts, length - side]


def corners(height: int, width: int, side: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The four corner pieces of half a side: their place in the picture, and in the extra window they make up together."""
    half = side // 2
    rest = side - half
    places = ((0, height - rest), (0, half)), ((0, width - rest), (0, half))
    return [
        ((places[0][0][i], places[1][0][j]), (places[0][1][i], places[1][1][j]))
        for i in range(2)
        for j in range(2)
    ]


def cut(images: Tensor, side: int) -> Tensor:
    """All windows of all pictures, and one mosaic of each picture's corners, (B * n, 3, side, side); n is 10 for twice the side."""
    height, width = images.shape[-2:]
    windows = [
        images[..., top : top + side, left : left + side]
        for top in origins(height, side)
        for left in origins(width, side)
    ]
    mosaic = images.new_zeros(*images.shape[:2], side, side)
    for source, target in corners(height, width, side):
        size = _corner_size(target, side)
        mosaic[_area(target, size)] = images[_area(source, size)]
    return torch.stack([*windows, mosaic], dim=1).flatten(0, 1)


def paste(windows: Tensor, shape: Sequence[int], side: int) -> Tensor:
    """The inverse of :func:`cut`: overlapping values are averaged."""
    batch, _, height, width = shape
    parts = windows.unflatten(0, (batch, -1))
    total, count = windows.new_zeros(*shape), windows.new_zeros(1, 1, height, width)
    places = [(top, left) for top in origins(height, side) for left in origins(width, side)]
    for index, place in enumerate(places):
        total[_area(place, (side, side))] += parts[:, index]
        count[_area(place, (side, side))] += 1
    for source, target in corners(height, width, side):
        size = _corner_size(target, side)
        total[_area(source, size)] += parts[:, -1][_area(target, size)]
        count[_area(source, size)] += 1
    return total / count


def _corner_size(target: tuple[int, int], side: int) -> tuple[int, int]:
    half = side // 2
    return (half if target[0] == 0 else side - half, half if target[1] == 0 else side - half)


def _area(place: tuple[int, int], size: tuple[int, int]) -> tuple[Any, ...]:
    return (..., slice(place[0], place[0] + size[0]), slice(place[1], place[1] + size[1]))
