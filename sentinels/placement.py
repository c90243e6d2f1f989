"""Place of a key in an image: where texture and saliency are least."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from images.transforms.protocol import RGBImage

PLACES = 64
"""Random places of a key that are compared."""

SALIENCY_WEIGHT = 1.0
"""Weight of the saliency of a place against its texture."""

CENTER_SIGMA = 0.6
"""Deviation of the center prior, in halves of the side."""


def quiet_place(
    square: RGBImage, size: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the center of the quietest of :data:`PLACES` random rectangles in a square.

    The cost of a place is its mean texture (absolute Sobel gradients) and its mean saliency, each
    relative to the square's.

    Args:
        square: (S, S, 3) uint8.
        size: Width and height of the rectangle, in pixels.
        rng: Generator of the places.

    Returns:
        x and y, in pixels.
    """
    side = len(square)
    gray = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY).astype(np.float32)
    texture = np.abs(cv2.Sobel(gray, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    cost = texture / max(float(texture.mean()), 1e-6) + SALIENCY_WEIGHT * saliency(square)
    sums = cv2.integral(cost)
    half = np.minimum(size * 0.56, side / 2 - 1)
    centers = rng.uniform(half, side - half, (PLACES, 2))
    x0, y0 = (centers - half).astype(int).T
    x1, y1 = (centers + half).astype(int).T
    costs = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    return centers[int(costs.argmin())]


def saliency(square: RGBImage) -> NDArray[np.float32]:
    """Estimate where a viewer looks.

    The spectral residual of Hou and Zhang (CVPR 2007) at 64 pixels, times a centered Gaussian,
    since photographers center their subject.

    Args:
        square: (S, S, 3) uint8.

    Returns:
        (S, S) with mean 1; all 1 for an image of one color.
    """
    side = len(square)
    gray = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
    spectrum = np.fft.fft2(small)
    amplitude = np.log(np.abs(spectrum) + 1e-3).astype(np.float32)
    residual = amplitude - cv2.blur(amplitude, (3, 3))
    salient = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    salient = cv2.GaussianBlur(salient.astype(np.float32), (0, 0), 4)
    offset = (np.arange(64, dtype=np.float32) - 31.5) / 32
    bell = np.exp(-(offset**2) / (2 * CENTER_SIGMA**2))
    salient = salient / max(float(salient.mean()), 1e-12) * bell[:, None] * bell
    salient /= max(float(salient.mean()), 1e-12)
    return np.asarray(cv2.resize(salient, (side, side)), np.float32)
