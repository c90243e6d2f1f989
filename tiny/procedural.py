"""Procedural images that are like photographs in their statistics alone.

Noise with a 1/f spectrum, smooth fields with edges, and textures, after arXiv 2106.05963,
section 3. (Its "dead leaves" are :mod:`tiny.collages`.) Each image is drawn from
its number alone.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from images.transforms import RGBImage

Floats = NDArray[np.float64]


def procedural(number: int, size: int = 96) -> RGBImage:
    """Draw an image, (size, size, 3) RGB; its kind is ``number`` modulo the count of kinds.

    Half of them are drawn twice as large and scaled down, as photographs are.
    """
    rng = np.random.default_rng([13, number])
    factor = int(rng.integers(1, 3))
    kind = list(KINDS.values())[number % len(KINDS)]
    image = kind(rng, factor * size)
    if factor > 1:
        image = np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), float)
    image = image + rng.normal(0, rng.uniform(0, 4), image.shape)
    return image.round().clip(0, 255).astype(np.uint8)


def spectrum(rng: np.random.Generator, size: int) -> Floats:
    """Draw colored noise whose amplitude falls with a power of the frequency."""
    slope = rng.uniform(0.6, 2.2)
    layers = np.stack([spectral(rng, size, slope) for _ in range(3)], axis=-1)
    mixing = np.eye(3) * rng.uniform(0, 0.6) + rng.uniform(-0.3, 0.3, (3, 3))
    mixing[0] += 1  # most of the contrast is common to all colors
    return color(rng) + rng.uniform(8, 70) * layers @ mixing


def shaded(rng: np.random.Generator, size: int) -> Floats:
    """Draw a smooth field of few colors, with up to three sharp or soft edges."""
    image = _field(rng, size)
    for _ in range(int(rng.integers(0, 4))):
        # a wavy line through the image is the border of another smooth field
        distance = _ramp(rng, size) + rng.uniform(0, 0.3) * spectral(rng, size, 1.8)
        softness = 2 ** rng.uniform(-7, -1.5)
        mask = 1 / (1 + np.exp(np.clip(-distance / softness, -40, 40)))
        image += mask[..., None] * (_field(rng, size) - image)
    return image


def textured(rng: np.random.Generator, size: int) -> Floats:
    """Draw warped stripes, checks or blobs in two or more colors."""
    period = size / 2 ** rng.uniform(1, 5)
    warp = rng.uniform(0, 3) * spectral(rng, size, 1.6)
    across, along = (_ramp(rng, size) * size / period * 2 * np.pi for _ in range(2))
    waves = {
        "stripes": np.sin(across + warp),
        "checks": np.sin(across + warp) * np.sin(along + warp),
        "blobs": spectral(rng, size, rng.uniform(1, 2)),
    }
    wave = list(waves.values())[rng.integers(len(waves))]
    share = 1 / (1 + np.exp(-wave * 2 ** rng.uniform(0, 5)))
    return _mixed(share, _field(rng, size), _field(rng, size))


KINDS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "spectrum": spectrum,
    "shaded": shaded,
    "textured": textured,
}
"""Functions from a generator and a side to an image, (S, S, 3) around 0 to 255."""


def color(rng: np.random.Generator) -> Floats:
    """Draw a color, (3,) in 0 to 255; most are dull, as in photographs."""
    gray = rng.uniform(10, 245)
    return (gray + rng.exponential(0.25) * (rng.uniform(0, 255, 3) - gray)).clip(0, 255)


def spectral(rng: np.random.Generator, size: int, slope: float = 1.2) -> Floats:
    """Draw noise of mean 0 and variance 1, (S, S), with amplitudes of frequency ** -slope."""
    across, along = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    frequency = np.hypot(across * rng.uniform(0.5, 2), along)
    frequency[0, 0] = np.inf
    transform = np.fft.rfft2(rng.normal(size=(size, size))) * frequency**-slope
    noise = np.fft.irfft2(transform, (size, size))
    return noise / noise.std()


def _mixed(share: Floats, first: Floats, second: Floats) -> Floats:
    """Mix two images by the share, (S, S), of the second."""
    return first + share[..., None] * (second - first)


def _field(rng: np.random.Generator, size: int) -> Floats:
    """Draw a smooth transition between two colors, perhaps with faint clouds."""
    first = color(rng)
    second = color(rng) if rng.uniform() < 0.3 else first + rng.normal(0, 25, 3)
    share = 0.5 + _ramp(rng, size) + rng.uniform(0, 0.3) * spectral(rng, size, 2)
    return _mixed(share.clip(0, 1), first + np.zeros((size, size, 3)), second)


def _ramp(rng: np.random.Generator, size: int) -> Floats:
    """Draw a plane of random direction, (S, S), that crosses 0 somewhere in the image."""
    angle = rng.uniform(0, 2 * np.pi)
    place = np.linspace(-0.5, 0.5, size)
    plane = np.cos(angle) * place[:, None] + np.sin(angle) * place[None]
    return plane - rng.uniform(-0.4, 0.4)
