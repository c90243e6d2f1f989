"""Differentiable purifications without a model."""

from __future__ import annotations

import torch
from torch import Tensor

from images.transforms import differentiable
from images.transforms.codecs import Chroma, check_quality
from images.transforms.purifier import Purifier


class Jpeg(Purifier):
    """JPEG round trip by Pillow, with approximate gradients.

    Args:
        quality: JPEG quality, 1 to 100.
        subsampling: Color at half resolution (4:2:0), Pillow's default, or at full (4:4:4).

    Raises:
        ValueError: If the quality is out of range.
    """

    def __init__(self, quality: int = 75, subsampling: bool = True) -> None:
        check_quality(quality)
        self.quality, self.subsampling = quality, subsampling

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        chroma: Chroma = "4:2:0" if self.subsampling else "4:4:4"
        return differentiable.exact_jpeg(images, self.quality, chroma)


class DownUp(Purifier):
    """Downscaling and upscaling, with antialiasing.

    Args:
        scale: Scale of the smaller image, above 0 and at most 1.
    """

    def __init__(self, scale: float = 0.5) -> None:
        if not 0 < scale <= 1:
            msg = f"scale is above 0 and at most 1, got {scale}"
            raise ValueError(msg)
        self.scale = scale

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        return differentiable.scale_round_trip(images, self.scale).clamp(0, 1)


class GaussianNoise(Purifier):
    """Independent normal noise on every value.

    Args:
        sigma: Standard deviation, in [0, 1] units; 0.05 as in robust style mimicry (arXiv
            2406.12027).
    """

    def __init__(self, sigma: float = 0.05) -> None:
        self.sigma = sigma

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        return differentiable.gaussian_noise(images, self.sigma, source).clamp(0, 1)


class GaussianBlur(Purifier):
    """A Gaussian filter.

    Args:
        sigma: Standard deviation in pixels, above 0.
    """

    def __init__(self, sigma: float = 1.0) -> None:
        if sigma <= 0:
            msg = f"sigma is above 0, got {sigma}"
            raise ValueError(msg)
        self.sigma = sigma

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        return differentiable.gaussian_blur(images, self.sigma).clamp(0, 1)


class Rounding(Purifier):
    """Rounding to 8 bits per color, or to fewer.

    Args:
        bits: Bits per color, 1 to 8.
    """

    def __init__(self, bits: int = 8) -> None:
        if not 1 <= bits <= 8:
            msg = f"bits are from 1 to 8, got {bits}"
            raise ValueError(msg)
        self.levels = 2**bits - 1

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        return differentiable.round_levels(images, self.levels)


class Crop(Purifier):
    """Center crop, resized to the image's size.

    Args:
        keep: Share of each side that is kept, above 0 and at most 1.
    """

    def __init__(self, keep: float = 0.9) -> None:
        if not 0 < keep <= 1:
            msg = f"keep is above 0 and at most 1, got {keep}"
            raise ValueError(msg)
        self.keep = keep

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        return differentiable.center_crop_resize(images, self.keep)


class RandomCrop(Crop):
    """Crop at a random place, resized to the image's size.

    Args:
        keep: Share of each side that is kept, above 0 and at most 1.
    """

    def __init__(self, keep: float = 0.75) -> None:
        super().__init__(keep)

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        return differentiable.random_crop_resize(images, self.keep, source)
