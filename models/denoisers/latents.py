"""Latents of denoisers: scale, and 2 x 2 patches as tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class LatentScale:
    """Affine map from an autoencoder's latents to a denoiser's.

    Attributes:
        shift: Subtracted first; a number, or (C, 2, 2) values of the pixels of 2 x 2 patches.
        factor: Multiplied then; a number, or (C, 2, 2).
    """

    shift: float | Tensor = 0.0
    factor: float | Tensor = 1.0

    @classmethod
    def of(cls, autoencoder: Any) -> Self:
        """Read the scale of an autoencoder.

        FLUX.2's autoencoder has statistics of 2 x 2 patches, others have two numbers.
        """
        config = autoencoder.config
        if statistics := getattr(autoencoder, "bn", None):
            std = torch.sqrt(statistics.running_var + config.batch_norm_eps)
            shape = (-1, 2, 2)
            return cls(statistics.running_mean.reshape(shape), 1 / std.reshape(shape))
        return cls(config.shift_factor or 0.0, config.scaling_factor)

    def to_denoiser(self, latents: Tensor) -> Tensor:
        """Scale an autoencoder's latents, (B, C, h, w)."""
        return (latents - _fit(self.shift, latents)) * _fit(self.factor, latents)

    def to_autoencoder(self, latents: Tensor) -> Tensor:
        """Scale a denoiser's latents back, (B, C, h, w)."""
        return latents / _fit(self.factor, latents) + _fit(self.shift, latents)

    def std_to_denoiser(self, std: Tensor) -> Tensor:
        """Scale standard deviations of latents, (B, C, h, w)."""
        return std * _fit(self.factor, std)


def _fit(value: float | Tensor, latents: Tensor) -> float | Tensor:
    """Tile the values of a patch over latents."""
    if not isinstance(value, Tensor):
        return value
    check_even(latents)
    return value.to(latents).repeat(1, latents.shape[-2] // 2, latents.shape[-1] // 2)


def pack(latents: Tensor) -> Tensor:
    """Make a token of each 2 x 2 patch, (B, C, h, w) to (B, h/2 * w/2, 4 * C), row by row.

    Raises:
        ValueError: If a side is odd.
    """
    check_even(latents)
    count, channels, height, width = latents.shape
    patches = latents.reshape(count, channels, height // 2, 2, width // 2, 2)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(count, -1, 4 * channels)


def unpack(tokens: Tensor, height: int, width: int) -> Tensor:
    """Reverse :func:`pack`.

    Args:
        tokens: (B, h/2 * w/2, 4 * C).
        height: h.
        width: w.
    """
    count, _, channels = tokens.shape
    patches = tokens.reshape(count, height // 2, width // 2, channels // 4, 2, 2)
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(count, -1, height, width)


def check_even(latents: Tensor) -> None:
    """Refuse latents that have no whole number of 2 x 2 patches.

    Raises:
        ValueError: If a side is odd.
    """
    height, width = latents.shape[-2:]
    if height % 2 or width % 2:
        msg = (
            f"the model takes patches of 2 x 2 latents, and these are {height} x {width}: "
            "use images whose sides are multiples of 16 pixels"
        )
        raise ValueError(msg)
