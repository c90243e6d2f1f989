"""Preprocessing of images for embedders."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from images.transforms import differentiable, geometry

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)
"""Mean and standard deviation of SigLIP, per channel of [0, 1]."""

MAX_ASPECT = 64
"""Largest aspect ratio; longer images are cropped, as resizing them would take gigabytes."""


def normalize(
    images: Tensor,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Tensor:
    """Normalize images to mean 0 and standard deviation 1.

    Args:
        images: (…, 3, H, W) in [0, 1].
        mean: Mean of each channel.
        std: Standard deviation of each channel.
    """
    return (images - images.new_tensor(mean).view(3, 1, 1)) / images.new_tensor(std).view(3, 1, 1)


def denormalize(images: Tensor) -> Tensor:
    """Invert :func:`normalize` with ImageNet's mean and standard deviation."""
    mean = images.new_tensor(IMAGENET_MEAN).view(3, 1, 1)
    std = images.new_tensor(IMAGENET_STD).view(3, 1, 1)
    return images * std + mean


def resize(images: Tensor, side: int, antialias: bool) -> Tensor:
    """Resize bilinearly to a square, ignoring the aspect ratio, as active indexing.

    Args:
        images: (B, 3, H, W).
        side: Side of the result, in pixels.
        antialias: Smooth before downscaling.

    Returns:
        (B, 3, side, side).
    """
    return differentiable.resize(images, side, side, antialias=antialias)


def module_device(module: nn.Module) -> torch.device:
    """Return a network's device; the CPU if it has no tensors."""
    tensors = [*module.parameters(), *module.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing of an image for a network.

    Attributes:
        side: Side of the square input, in pixels.
        resize: Length of the shorter side before the center crop, in pixels; None resizes both
            sides to ``side``.
        filter: Filter for 8-bit values.
        antialias: Smooth before downscaling; always done for 8-bit values.
        mean: Mean of each channel, in [0, 1].
        std: Standard deviation of each channel, in [0, 1].
        on: ``uint8``: resize 8-bit values with Pillow, then normalize, as CLIP, SigLIP and DINO.
            ``float``: normalize, then resize differentiably, as active indexing.
    """

    side: int
    resize: int | None = None
    filter: Literal["bilinear", "bicubic"] = "bilinear"
    antialias: bool = True
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    on: Literal["uint8", "float"] = "float"

    def __call__(self, rgb: NDArray[np.uint8]) -> Tensor:
        """Preprocess an (H, W, 3) uint8 image to (3, side, side) float32."""
        if self.on == "float":
            images = to_unit(rgb).unsqueeze(0)
            mean = images.new_tensor(self.mean).view(3, 1, 1)
            std = images.new_tensor(self.std).view(3, 1, 1)
            images.sub_(mean).div_(std)  # in place, as large photos take gigabytes
            return resize(images, self.side, self.antialias)[0]
        if self.resize is None:
            square = geometry.resize(rgb, self.side, self.side, self.filter)
        else:
            rgb = geometry.limit_aspect(rgb, ratio=MAX_ASPECT)
            covering = geometry.covering_size(
                (rgb.shape[0], rgb.shape[1]), (self.resize, self.resize)
            )
            square = geometry.center_crop(
                geometry.resize(rgb, *covering, self.filter), self.side, self.side
            )
        return normalize(to_unit(square), self.mean, self.std)

    def from_tensors(self, images: Tensor) -> Tensor:
        """Preprocess (B, 3, H, W) in [0, 1] to (B, 3, side, side).

        The result is differentiable if ``on`` is ``float``.
        """
        if self.on == "float":
            return resize(normalize(images, self.mean, self.std), self.side, self.antialias)
        levels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        return torch.stack([self(rgb) for rgb in levels]).to(images.device)

    def facts(self) -> dict[str, Any]:
        """Return side, antialias and all values that differ from the defaults."""
        facts: dict[str, Any] = {"side": self.side, "antialias": self.antialias}
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                facts[field.name] = value
        return facts


def to_unit(rgb: NDArray[np.uint8]) -> Tensor:
    """Convert (H, W, 3) uint8 to (3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(rgb.copy()).permute(2, 0, 1).float().div_(255)
