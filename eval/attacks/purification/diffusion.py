"""Purification by an unconditional pixel diffusion model."""

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
from images.transforms.differentiable import resize
from images.transforms.purifier import Purifier

UNCONDITIONAL = "xutongda/adm_imagenet_256x256_unconditional"
"""ADM at 256 pixels (arXiv 2105.05233), converted to diffusers; both papers use it.

Any unconditional DDPM of diffusers can be used instead.
"""

Position = tuple[int, int]
"""Top and left of an area, in pixels."""


class DiffusionPurifier(Purifier):
    """Base class of DiffPure and GrIDPure.

    Args:
        model: Folder or Hub id of an unconditional ``DDPMPipeline``, with ``unet`` and
            ``scheduler``.
        steps: Timestep up to which noise is added, and number of denoising steps; the model's
            schedule usually has 1,000.
        batch_size: Images or windows at a time.
    """

    model: str

    def __init__(self, model: str, steps: int, batch_size: int) -> None:
        if steps < 1 or batch_size < 1:
            msg = f"steps and batch_size must be at least 1, got {steps} and {batch_size}"
            raise ValueError(msg)
        self.model = model
        self.steps = steps
        self.batch_size = batch_size

    @cached_property
    def folder(self) -> Path:
        """Folder of the model.

        Raises:
            FileNotFoundError: If it cannot be found.
        """
        return model_folder(self.model, "unet/config.json", "scheduler/scheduler_config.json")

    @cached_property
    def network(self) -> Any:
        """The denoiser, opened on first use."""
        with explaining_load_errors(self.folder):
            unet = UNet2DModel.from_pretrained(self.folder, subfolder="unet")
            return unet.eval().requires_grad_(False).to(self.device)

    @cached_property
    def schedule(self) -> Any:
        """The model's noise schedule.

        Raises:
            ValueError: If ``steps`` is more than the model was trained for.
        """
        with explaining_load_errors(self.folder):
            schedule = DDPMScheduler.from_pretrained(self.folder, subfolder="scheduler")
        available = len(schedule.alphas_cumprod)
        if self.steps > available:
            msg = f"steps is {self.steps}, but {self.model} was trained with {available}"
            raise ValueError(msg)
        return schedule

    @property
    def side(self) -> int:
        """Side of the model's images, in pixels."""
        return int(self.network.config.sample_size)

    @torch.no_grad()
    def denoise(self, images: Tensor, source: torch.Generator) -> Tensor:
        """Add noise to images and remove it by ancestral sampling.

        Args:
            images: (n, 3, side, side) in [-1, 1].
            source: Generator of the noise, on the CPU.

        Returns:
            The same shape, neither clamped nor rounded.
        """
        network, schedule = self.network, self.schedule
        purified = []
        for part in images.split(self.batch_size):
            noise = torch.randn(part.shape, generator=source).to(self.device)
            timesteps = torch.tensor([self.steps - 1] * len(part), device=self.device)
            x = schedule.add_noise(part.to(self.device), noise, timesteps)
            schedule.set_timesteps(len(schedule.alphas_cumprod))
            for step in range(self.steps - 1, -1, -1):
                x = schedule.step(network(x, step).sample, step, x, generator=source).prev_sample
            purified.append(x.to(images))
        return torch.cat(purified)


class DiffPure(DiffusionPurifier):
    """DiffPure (arXiv 2205.07460) by ancestral sampling at the model's size.

    The image is resized to the model's size before, and back to its size after.

    Args:
        model: Folder or Hub id of an unconditional ``DDPMPipeline``.
        steps: Denoising steps: 150 in the paper for ImageNet, 100 in GrIDPure's comparison (the
            default).
        batch_size: Images at a time.
    """

    def __init__(self, model: str = UNCONDITIONAL, steps: int = 100, batch_size: int = 8) -> None:
        super().__init__(model, steps, batch_size)

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        height, width = images.shape[-2:]
        small = resize(images, self.side, self.side, "bicubic") * 2 - 1
        purified = (self.denoise(small, source) + 1) / 2
        return resize(purified.clamp(0, 1), height, width, "bicubic")


class GridPure(DiffusionPurifier):
    """GrIDPure (Zhao et al., CVPR 2024): repeated purification of windows.

    The image keeps its own size. Values stay in floating point between iterations. The published
    program truncates to 8 bits each time, which darkens images by about five levels in ten
    iterations.

    Args:
        model: Folder or Hub id of an unconditional ``DDPMPipeline``; windows have its side and
            overlap by half.
        steps: Denoising steps of each iteration.
        iterations: Number of iterations.
        gamma: Share of each iteration's input that is mixed into its output, from 0 to below 1.
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
            msg = (
                f"iterations must be at least 1 and gamma from 0 to below 1, got {iterations} and "
                f"{gamma}"
            )
            raise ValueError(msg)
        self.iterations = iterations
        self.gamma = gamma

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        # Images smaller than a window are enlarged.
        height, width = images.shape[-2:]
        x = resize(images, max(height, self.side), max(width, self.side), "bicubic") * 2 - 1
        for _ in range(self.iterations):
            windows = cut(x, self.side)
            purified = paste(self.denoise(windows, source), x.shape, self.side)
            x = (1 - self.gamma) * purified + self.gamma * x
        return resize(((x + 1) / 2).clamp(0, 1), height, width, "bicubic")


def origins(length: int, side: int) -> list[int]:
    """Start positions of windows along one axis.

    A window starts at every half window; a last one ends at the border.
    """
    starts = list(range(0, length - side + 1, side // 2))
    return starts if starts[-1] == length - side else [*starts, length - side]


def window_positions(height: int, width: int, side: int) -> list[Position]:
    """List top and left of every window, row by row.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        side: Of a window, in pixels.
    """
    return [(top, left) for top in origins(height, side) for left in origins(width, side)]


def corners(height: int, width: int, side: int) -> list[tuple[Position, Position]]:
    """List the corner pieces: positions in image and extra window.

    Each piece has about half the window's side. Together they fill one extra window.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        side: Of a window, in pixels.
    """
    half = side // 2
    rest = side - half
    tops = [(0, 0), (height - rest, half)]
    lefts = [(0, 0), (width - rest, half)]
    pieces = []
    for top, window_top in tops:
        for left, window_left in lefts:
            pieces.append(((top, left), (window_top, window_left)))
    return pieces


def cut(images: Tensor, side: int) -> Tensor:
    """Cut images into windows, and one mosaic of each image's corners.

    Returns:
        (B * n, 3, side, side); n is 10 for images of twice the side.
    """
    height, width = images.shape[-2:]
    windows = [
        images[_area(position, (side, side))] for position in window_positions(height, width, side)
    ]
    mosaic = images.new_zeros(*images.shape[:2], side, side)
    for source, target in corners(height, width, side):
        size = _corner_size(target, side)
        mosaic[_area(target, size)] = images[_area(source, size)]
    return torch.stack([*windows, mosaic], dim=1).flatten(0, 1)


def paste(windows: Tensor, shape: Sequence[int], side: int) -> Tensor:
    """Assemble images from their windows; overlapping values are averaged.

    Args:
        windows: As returned by :func:`cut`.
        shape: Of the images, (B, 3, H, W).
        side: Of a window, in pixels.
    """
    batch, _, height, width = shape
    parts = windows.unflatten(0, (batch, -1))
    total = windows.new_zeros(*shape)
    count = windows.new_zeros(1, 1, height, width)
    for index, position in enumerate(window_positions(height, width, side)):
        total[_area(position, (side, side))] += parts[:, index]
        count[_area(position, (side, side))] += 1
    for source, target in corners(height, width, side):
        size = _corner_size(target, side)
        total[_area(source, size)] += parts[:, -1][_area(target, size)]
        count[_area(source, size)] += 1
    return total / count


def _corner_size(target: Position, side: int) -> tuple[int, int]:
    """Size of the corner piece at a window position."""
    half = side // 2
    rest = side - half
    return (half if target[0] == 0 else rest, half if target[1] == 0 else rest)


def _area(position: Position, size: tuple[int, int]) -> tuple[Any, ...]:
    """Index of an area of the last two dimensions."""
    top, left = position
    return (..., slice(top, top + size[0]), slice(left, left + size[1]))
