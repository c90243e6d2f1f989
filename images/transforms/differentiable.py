"""Edits of image tensors that let gradients through.

Images are (B, 3, H, W) floating-point tensors in [0, 1]. Edits of 8-bit images are the other
modules'. Where a result can only be had by 8-bit code (:func:`exact_jpeg`, :func:`round_levels`),
the value is exact and the gradient another function's.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from images.io import to_uint8
from images.transforms.codecs import Chroma
from images.transforms.codecs import jpeg as jpeg_file
from images.transforms.geometry import center_window, covering_size

MCU = 16
"""Side of the blocks that kornia's codec works on, in pixels."""


def jpeg(images: Tensor, quality: float) -> Tensor:
    """Imitate JPEG with 4:2:0 chroma by kornia's codec.

    Args:
        images: (B, 3, H, W) in [0, 1]; sides need not be multiples of 16.
        quality: 1 to 100.

    Returns:
        (B, 3, H, W) float32, slightly beyond [0, 1] at edges.
    """
    from kornia.enhance import jpeg_codec_differentiable

    height, width = images.shape[-2:]
    padded = F.pad(images, (0, -width % MCU, 0, -height % MCU), mode="replicate")
    with torch.autocast(images.device.type, enabled=False):
        qualities = torch.tensor([quality], device=images.device)
        coded = jpeg_codec_differentiable(padded.float(), qualities)
    return coded[..., :height, :width]


def exact_jpeg(images: Tensor, quality: int, chroma: Chroma = "4:2:0") -> Tensor:
    """Give a JPEG file's values, as Pillow writes and reads it, with the gradient of :func:`jpeg`.

    Args:
        images: (B, 3, H, W) in [0, 1].
        quality: 1 to 100.
        chroma: Color resolution of the file.

    Returns:
        (B, 3, H, W), whole levels of 255.
    """
    decoded = []
    for levels in to_uint8(images.detach()).cpu():
        rgb = jpeg_file(levels.permute(1, 2, 0).numpy(), quality, chroma)
        decoded.append(torch.from_numpy(rgb.copy()).permute(2, 0, 1).float() / 255)
    exact = torch.stack(decoded).to(images)
    if not images.requires_grad:
        return exact
    imitated = jpeg(images, quality).clamp(0, 1)
    return imitated + (exact - imitated).detach()


def round_levels(images: Tensor, highest: int = 255) -> Tensor:
    """Round to levels from 0 to a highest, which stands for 1, with the gradient of the identity.

    Args:
        images: Any shape, in [0, 1].
        highest: 255 for 8 bits, 1 for one.
    """
    return images + ((images * highest).round() / highest - images).detach()


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Blur by a Gaussian that ends at three sigma, or where the border can mirror no more.

    Args:
        images: (B, 3, H, W) in [0, 1].
        sigma: In pixels, above 0.

    Returns:
        (B, 3, H, W).
    """
    from kornia.filters import gaussian_blur2d

    reach = min(max(1, round(3 * sigma)), min(images.shape[-2:]) - 1)
    side = 2 * reach + 1
    return gaussian_blur2d(images, (side, side), (sigma, sigma))


def gaussian_noise(images: Tensor, sigma: float, source: torch.Generator) -> Tensor:
    """Add independent normal noise to every value.

    Args:
        images: (B, 3, H, W) in [0, 1].
        sigma: Standard deviation, in the images' unit.
        source: Of the noise, on the CPU, so that all devices get the same.

    Returns:
        (B, 3, H, W), beyond [0, 1] where the noise leads there.
    """
    return images + sigma * torch.randn(images.shape, generator=source).to(images)


def resize(
    images: Tensor,
    height: int,
    width: int,
    mode: Literal["bilinear", "bicubic"] = "bilinear",
    antialias: bool = True,
) -> Tensor:
    """Scale images to a size; those that have it stay as they are.

    Args:
        images: (B, 3, H, W) in [0, 1].
        height: Of the result, in pixels.
        width: Of the result, in pixels.
        mode: The filter; a bicubic one may leave [0, 1], and is cut off there.
        antialias: Average over all pixels that one of a smaller image stands for.

    Returns:
        (B, 3, height, width).
    """
    if images.shape[-2:] == (height, width):
        return images
    scaled = F.interpolate(images, (height, width), mode=mode, antialias=antialias)
    return scaled.clamp(0, 1) if mode == "bicubic" else scaled


def scale_round_trip(images: Tensor, scale: float) -> Tensor:
    """Scale each side of images down by a factor and back, bilinearly with antialiasing.

    Args:
        images: (B, 3, H, W) in [0, 1].
        scale: Above 0 and at most 1.

    Returns:
        (B, 3, H, W).
    """
    height, width = images.shape[-2:]
    small = resize(images, max(1, round(height * scale)), max(1, round(width * scale)))
    return resize(small, height, width)


def center_crop_resize(images: Tensor, share: float) -> Tensor:
    """Cut out the middle of images and scale it to their size, bicubically.

    Args:
        images: (B, 3, H, W) in [0, 1].
        share: Of each side, above 0 and at most 1.

    Returns:
        (B, 3, H, W) in [0, 1].
    """
    height, width = images.shape[-2:]
    inner = max(1, round(height * share)), max(1, round(width * share))
    rows, columns = center_window((height, width), inner)
    return resize(images[..., rows, columns], height, width, "bicubic")


def resize_center_crop(image: Tensor, side: int) -> Tensor:
    """Scale the shorter side, bilinearly with antialiasing, and cut out the middle square.

    Args:
        image: (3, H, W) in [0, 1].
        side: Of the square, in pixels.

    Returns:
        (3, side, side) in [0, 1].
    """
    height, width = image.shape[-2:]
    size = covering_size((height, width), (side, side))
    if size != (height, width):
        image = resize(image.unsqueeze(0), *size)[0].clamp(0, 1)
    rows, columns = center_window(size, (side, side))
    return image[:, rows, columns]


def random_edits() -> nn.Module:
    """Build random edits of copies: each image meets each with a chance of one half.

    They are a rotation by up to 90 degrees with an enlargement of up to 1.6, changes of brightness,
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
