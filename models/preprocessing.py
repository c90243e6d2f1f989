"""Preprocessing: from images to what the networks of embedders see."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from images.transforms import differentiable, geometry

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)
"""Mean and standard deviation per channel of [0, 1], as the published models were trained with."""

LONGEST_SIDE = 64
"""Longer sides, in sides of the crop, are cut before resizing: an image of one row must not unfold into gigabytes."""


def normalize(
    images: Tensor,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Tensor:
    """(…, 3, H, W) in [0, 1] to mean 0 and standard deviation 1 over the training images."""
    return (images - images.new_tensor(mean).view(3, 1, 1)) / images.new_tensor(std).view(3, 1, 1)


def denormalize(images: Tensor) -> Tensor:
    """The inverse of :func:`normalize` by ImageNet's statistics."""
    mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return images * std + mean


def resize(images: Tensor, side: int, antialias: bool) -> Tensor:
    """(B, 3, H, W) to (B, 3, side, side), bilinear, without keeping proportions, as active indexing's programs do."""
    return differentiable.resize(images, side, side, antialias=antialias)


def module_device(module: nn.Module) -> torch.device:
    """Where a network is; the CPU if it holds no numbers."""
    return next((value.device for value in [*module.parameters(), *module.buffers()]), torch.device("cpu"))


@dataclass(frozen=True)
class Preprocessing:
    """What a network sees of an image.

    Attributes:
        side: Of the square it sees, in pixels.
        resize: The shorter side is brought to this, then the middle is cut out; None brings both sides to ``side``.
        filter: Of resizing 8-bit values.
        antialias: Smooth images when they are made smaller; resizing 8-bit values always does.
        mean: Per channel of [0, 1].
        std: Per channel of [0, 1].
        on: ``uint8``: resize 8-bit values with Pillow, then normalize, as the published programs of CLIP and its like do.
            ``float``: normalize, then resize, differentiably, as active indexing's programs do.
    """

    side: int
    resize: int | None = None
    filter: Literal["bilinear", "bicubic"] = "bilinear"
    antialias: bool = True
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    on: Literal["uint8", "float"] = "float"

    def __call__(self, rgb: NDArray[np.uint8]) -> Tensor:
        """(H, W, 3) uint8 to (3, side, side) float32."""
        if self.on == "float":
            images = to_unit(rgb).unsqueeze(0)
            mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
            images.sub_(mean).div_(std)  # in place, as large photos take gigabytes
            return resize(images, self.side, self.antialias)[0]
        if self.resize is None:
            square = geometry.resize(rgb, self.side, self.side, self.filter)
        else:
            longest = LONGEST_SIDE * min(rgb.shape[:2])
            rgb = geometry.center_crop(rgb, longest, longest)
            covering = geometry.covering_size((rgb.shape[0], rgb.shape[1]), (self.resize, self.resize))
            square = geometry.center_crop(geometry.resize(rgb, *covering, self.filter), self.side, self.side)
        return normalize(to_unit(square), self.mean, self.std)

    def from_tensors(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) float32 in [0, 1] to (B, 3, side, side); differentiable if ``on`` is ``float``."""
        if self.on == "float":
            return resize(normalize(images, self.mean, self.std), self.side, self.antialias)
        levels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        return torch.stack([self(rgb) for rgb in levels]).to(images.device)

    def facts(self) -> dict[str, Any]:
        """What tells it from others: side and antialias, and whatever differs from the defaults."""
        facts: dict[str, Any] = {"side": self.side, "antialias": self.antialias}
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                facts[field.name] = value
        return facts


def to_unit(rgb: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) uint8 to (3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(rgb.copy()).permute(2, 0, 1).float().div_(255)
