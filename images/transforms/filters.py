"""Blur, noise, sharpening and masks of 8-bit images."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import ImageFilter

from images.transforms.protocol import RGBImage, on_pillow

PATCH = 16
"""Side of a mask's squares, in pixels."""


def gaussian_blur(rgb: RGBImage, sigma: float) -> RGBImage:
    """Blur by a Gaussian with mirrored borders.

    Args:
        rgb: (H, W, 3) uint8.
        sigma: Standard deviation in pixels, above 0.

    Returns:
        (H, W, 3) uint8.
    """
    blurred = cv2.GaussianBlur(rgb, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, dtype=np.uint8)


def approximate_blur(rgb: RGBImage, sigma: float) -> RGBImage:
    """Blur an (H, W, 3) uint8 image with Pillow's three box filters.

    ``sigma`` is in pixels, above 0.
    """
    return on_pillow(rgb, lambda image: image.filter(ImageFilter.GaussianBlur(sigma)))


def enhance_edges(rgb: RGBImage) -> RGBImage:
    """Sharpen an (H, W, 3) uint8 image by Pillow's strong 3x3 filter."""
    return on_pillow(rgb, lambda image: image.filter(ImageFilter.EDGE_ENHANCE_MORE))


def shuffle_pixels(rgb: RGBImage, share: float, rng: np.random.Generator) -> RGBImage:
    """Permute random pixels.

    Args:
        rgb: (H, W, 3) uint8.
        share: Part of the pixels, 0 to 1; at least two pixels.
        rng: Generator of the choice and the permutation.

    Returns:
        (H, W, 3) uint8.
    """
    pixels = rgb.reshape(-1, 3).copy()
    count = min(len(pixels), max(2, int(len(pixels) * share)))
    chosen = rng.choice(len(pixels), count, replace=False)
    pixels[chosen] = pixels[rng.permutation(chosen)]
    return pixels.reshape(rgb.shape)


def mask_patches(rgb: RGBImage, max_share: float, rng: np.random.Generator) -> RGBImage:
    """Black out squares of 16 pixels.

    Args:
        rgb: (H, W, 3) uint8; rows and columns beyond a multiple of 16 stay.
        max_share: Largest part of the squares that is masked, 0 to 1.
        rng: Generator of the part and the squares.

    Returns:
        (H, W, 3) uint8.
    """
    rows = rgb.shape[0] // PATCH
    columns = rgb.shape[1] // PATCH
    order = rng.permutation(rows * columns)
    masked = order[: int(rows * columns * rng.uniform(0, max_share))]
    keep = np.ones(rows * columns, dtype=np.uint8)
    keep[masked] = 0
    mask = keep.reshape(rows, columns).repeat(PATCH, axis=0).repeat(PATCH, axis=1)
    result = rgb.copy()
    result[: rows * PATCH, : columns * PATCH] *= mask[..., None]
    return result


@dataclass(frozen=True)
class Blur:
    """Gaussian blur; ``sigma`` in pixels, above 0."""

    sigma: float

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        return gaussian_blur(rgb, self.sigma)


@dataclass(frozen=True)
class GaussianBlur:
    """Gaussian blur of torchvision.

    Attributes:
        kernel: Side of the kernel in pixels, odd. Sigma is 0.15 * kernel + 0.35. The kernel, but
            not sigma, is reduced for small images.
    """

    kernel: int

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        from torchvision.transforms.functional import gaussian_blur as torchvision_blur

        side = min(self.kernel, 2 * min(rgb.shape[:2]) - 1)
        sigma = 0.15 * self.kernel + 0.35
        return on_pillow(rgb, lambda image: torchvision_blur(image, [side, side], [sigma, sigma]))


@dataclass(frozen=True)
class Noise:
    """Gaussian noise on every value; ``sigma`` in gray levels, at least 0."""

    sigma: float

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        noisy = rgb + rng.normal(0, self.sigma, rgb.shape)
        return noisy.round().clip(0, 255).astype(np.uint8)
