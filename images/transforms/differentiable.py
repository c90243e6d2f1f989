"""Differentiable edits of image tensors.

Images are (B, 3, H, W) floating-point tensors in [0, 1]. Edits of 8-bit images are in the other
modules. :func:`exact_jpeg` and :func:`round_levels` return exact values with a straight-through
gradient.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from images.io import to_uint8
from images.transforms.codecs import Chroma
from images.transforms.codecs import jpeg as jpeg_file
from images.transforms.windows import center_window

MCU = 16
"""Side of the blocks of kornia's JPEG codec, in pixels."""


def jpeg(images: Tensor, quality: float) -> Tensor:
    """Approximate 4:2:0 JPEG with kornia's differentiable codec.

    Args:
        images: (B, 3, H, W) in [0, 1]; sides need not be multiples of 16.
        quality: 1 to 100.

    Returns:
        (B, 3, H, W) float32; values at edges may exceed [0, 1] slightly.
    """
    from kornia.enhance import jpeg_codec_differentiable

    height, width = images.shape[-2:]
    padded = F.pad(images, (0, -width % MCU, 0, -height % MCU), mode="replicate")
    with torch.autocast(images.device.type, enabled=False):
        qualities = torch.tensor([quality], device=images.device)
        coded = jpeg_codec_differentiable(padded.float(), qualities)
    return coded[..., :height, :width]


def exact_jpeg(images: Tensor, quality: int, chroma: Chroma = "4:2:0") -> Tensor:
    """Compress as JPEG with Pillow; the gradient is that of :func:`jpeg`.

    Args:
        images: (B, 3, H, W) in [0, 1].
        quality: 1 to 100.
        chroma: Chroma subsampling of the file.

    Returns:
        (B, 3, H, W) in [0, 1], multiples of 1/255.
    """
    decoded = []
    for image_u8 in to_uint8(images.detach()).cpu():
        rgb = jpeg_file(image_u8.permute(1, 2, 0).numpy(), quality, chroma)
        decoded.append(torch.from_numpy(rgb.copy()).permute(2, 0, 1).float() / 255)
    exact = torch.stack(decoded).to(images)
    if not images.requires_grad:
        return exact
    approximate = jpeg(images, quality).clamp(0, 1)
    return approximate + (exact - approximate).detach()


def round_levels(images: Tensor, highest: int = 255) -> Tensor:
    """Round to gray levels with a straight-through gradient.

    Args:
        images: Any shape, in [0, 1].
        highest: Level of the value 1: 255 for 8 bits, 1 for one bit.
    """
    return images + ((images * highest).round() / highest - images).detach()


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Blur by a Gaussian, truncated at three sigma and at the image size.

    Args:
        images: (B, 3, H, W) in [0, 1].
        sigma: Standard deviation in pixels, above 0.

    Returns:
        (B, 3, H, W).
    """
    from kornia.filters import gaussian_blur2d

    reach = min(max(1, round(3 * sigma)), min(images.shape[-2:]) - 1)
    side = 2 * reach + 1
    return gaussian_blur2d(images, (side, side), (sigma, sigma))


def gaussian_noise(images: Tensor, sigma: float, source: torch.Generator) -> Tensor:
    """Add Gaussian noise.

    Args:
        images: (B, 3, H, W) in [0, 1].
        sigma: Standard deviation, on the [0, 1] scale.
        source: CPU generator, so that all devices get the same noise.

    Returns:
        (B, 3, H, W), not clipped to [0, 1].
    """
    return images + sigma * torch.randn(images.shape, generator=source).to(images)


def resize(
    images: Tensor,
    height: int,
    width: int,
    mode: Literal["bilinear", "bicubic"] = "bilinear",
    antialias: bool = True,
) -> Tensor:
    """Resize images.

    Args:
        images: (B, 3, H, W) in [0, 1].
        height: Height of the result, in pixels.
        width: Width of the result, in pixels.
        mode: Filter; results of the bicubic one are clipped to [0, 1].
        antialias: Smooth before downscaling.

    Returns:
        (B, 3, height, width).
    """
    if images.shape[-2:] == (height, width):
        return images
    scaled = F.interpolate(images, (height, width), mode=mode, antialias=antialias)
    return scaled.clamp(0, 1) if mode == "bicubic" else scaled


def scale_round_trip(images: Tensor, scale: float) -> Tensor:
    """Downscale images and restore their size, bilinearly with antialiasing.

    Args:
        images: (B, 3, H, W) in [0, 1].
        scale: Factor of each side, above 0 and at most 1.

    Returns:
        (B, 3, H, W).
    """
    height, width = images.shape[-2:]
    small = resize(images, max(1, round(height * scale)), max(1, round(width * scale)))
    return resize(small, height, width)


def center_crop_resize(images: Tensor, share: float) -> Tensor:
    """Crop the center of images and restore their size, bicubically.

    Args:
        images: (B, 3, H, W) in [0, 1].
        share: Part of each side that is kept, above 0 and at most 1.

    Returns:
        (B, 3, H, W) in [0, 1].
    """
    height, width = images.shape[-2:]
    inner = max(1, round(height * share)), max(1, round(width * share))
    rows, columns = center_window((height, width), inner)
    return resize(images[..., rows, columns], height, width, "bicubic")


def random_crop_resize(images: Tensor, share: float, source: torch.Generator) -> Tensor:
    """Crop one random window of all images and restore their size, bicubically.

    Args:
        images: (B, 3, H, W) in [0, 1].
        share: Part of each side that is kept, above 0 and at most 1.
        source: CPU generator of the window's top and left.

    Returns:
        (B, 3, H, W) in [0, 1].
    """
    height, width = images.shape[-2:]
    rows, columns = max(1, round(height * share)), max(1, round(width * share))
    top = int(torch.randint(height - rows + 1, (), generator=source))
    left = int(torch.randint(width - columns + 1, (), generator=source))
    window = images[..., top : top + rows, left : left + columns]
    return resize(window, height, width, "bicubic")


def random_edits() -> nn.Module:
    """Build random copy augmentations, each applied with probability 0.5.

    They are a rotation by up to 90 degrees with scaling by up to 1.6, jitter of brightness,
    contrast, saturation and hue, a blur, and JPEG of quality 40 to 100. Draws come from torch's
    global generator.

    Returns:
        A module from (B, 3, H, W) in [0, 1] to the same shape; H and W are multiples of 16.
    """
    from kornia import augmentation

    return nn.Sequential(
        augmentation.RandomAffine(90.0, scale=(1.0, 1.6), p=0.5),
        augmentation.ColorJitter(0.5, 0.5, 0.5, 0.2, p=0.5),
        augmentation.RandomGaussianBlur((7, 7), (0.5, 2.0), p=0.5),
        augmentation.RandomJPEG((40.0, 100.0), p=0.5),
    )
