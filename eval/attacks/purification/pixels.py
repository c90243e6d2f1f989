"""Edits that need no model. All are differentiable, so that a protection can also be trained against them."""

from __future__ import annotations

import io

import numpy as np
import torch
from kornia.filters import gaussian_blur2d
from PIL import Image
from torch import Tensor

from eval.attacks.purification.purifier import Purifier, resized
from images.io import to_levels
from rid.training import augment as robustness


class Jpeg(Purifier):
    """A JPEG file's values, as Pillow writes it; gradients are those of a differentiable codec.

    Args:
        quality: 1 to 100.
        subsampling: Colour at half resolution (4:2:0), Pillow's default, or whole (4:4:4).

    Raises:
        ValueError: If the quality is out of range.
    """

    def __init__(self, quality: int = 75, subsampling: bool = True) -> None:
        if not 1 <= quality <= 100:
            msg = f"quality is from 1 to 100, got {quality}"
            raise ValueError(msg)
        self.quality, self.subsampling = quality, subsampling

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        real = torch.stack([self._through_file(levels) for levels in to_levels(images.detach()).cpu()]).to(images)
        if not images.requires_grad:
            return real
        soft = robustness.jpeg(images, self.quality).clamp(0, 1)
        return soft + (real - soft).detach()

    def _through_file(self, levels: Tensor) -> Tensor:
        buffer = io.BytesIO()
        picture = Image.fromarray(levels.permute(1, 2, 0).numpy())
        picture.save(buffer, format="JPEG", quality=self.quality, subsampling=2 if self.subsampling else 0)
        return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1).float() / 255


class DownUp(Purifier):
    """Scaled down and up again, with antialiasing.

    Args:
        scale: Of the smaller picture, above 0 and at most 1.
    """

    def __init__(self, scale: float = 0.5) -> None:
        if not 0 < scale <= 1:
            msg = f"scale is above 0 and at most 1, got {scale}"
            raise ValueError(msg)
        self.scale = scale

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        return robustness.down_and_up(images, self.scale).clamp(0, 1)


class GaussianNoise(Purifier):
    """Independent normal noise on every value.

    Args:
        sigma: Its standard deviation, in [0, 1] units; 0.05 as in robust style mimicry (arXiv 2406.12027).
    """

    def __init__(self, sigma: float = 0.05) -> None:
        self.sigma = sigma

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        noise = torch.randn(images.shape, generator=source).to(images)
        return (images + self.sigma * noise).clamp(0, 1)


class GaussianBlur(Purifier):
    """A Gaussian filter.

    Args:
        sigma: In pixels, above 0.
    """

    def __init__(self, sigma: float = 1.0) -> None:
        if sigma <= 0:
            msg = f"sigma is above 0, got {sigma}"
            raise ValueError(msg)
        self.sigma = sigma

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        reach = min(max(1, round(3 * self.sigma)), min(images.shape[-2:]) - 1)  # a border can mirror no more than the picture
        side = 2 * reach + 1
        return gaussian_blur2d(images, (side, side), (self.sigma, self.sigma)).clamp(0, 1)


class Rounding(Purifier):
    """The 256 levels of an ordinary file, or fewer.

    Args:
        bits: 1 to 8 per colour.
    """

    def __init__(self, bits: int = 8) -> None:
        if not 1 <= bits <= 8:
            msg = f"bits are from 1 to 8, got {bits}"
            raise ValueError(msg)
        self.levels = 2**bits - 1

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        return images + ((images * self.levels).round() / self.levels - images).detach()


class Crop(Purifier):
    """The middle of the picture, at the picture's size again.

    Args:
        keep: Share of each side that is kept, above 0 and at most 1.
    """

    def __init__(self, keep: float = 0.9) -> None:
        if not 0 < keep <= 1:
            msg = f"keep is above 0 and at most 1, got {keep}"
            raise ValueError(msg)
        self.keep = keep

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        height, width = images.shape[-2:]
        inner = (max(1, round(height * self.keep)), max(1, round(width * self.keep)))
        top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
        return resized(images[..., top : top + inner[0], left : left + inner[1]], height, width)
