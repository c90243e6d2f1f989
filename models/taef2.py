"""TAEF2 (madebyollin/taesd), tiny autoencoder for FLUX.2, as a diffusers VAE."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from torch import Tensor, nn

from checkpoints.safe import read_state_dict


class Block(nn.Module):
    """Residual block of three convolutions.

    Args:
        width: Number of channels.
        pooled: Add a wide pointwise branch with group normalization first.
    """

    def __init__(self, width: int, pooled: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(3):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.conv = nn.Sequential(*layers[:-1])
        if pooled:
            wide = 4 * width
            self.pool = nn.Sequential(
                nn.Conv2d(width, wide, 1, bias=False),
                nn.GroupNorm(4, wide),
                nn.ReLU(),
                nn.Conv2d(wide, width, 1, bias=False),
            )

    def forward(self, x: Tensor) -> Tensor:
        if hasattr(self, "pool"):
            x = x + self.pool(x)
        return (self.conv(x) + x).relu()


class Limit(nn.Module):
    """Smooth limit of latents to [-3, 3]."""

    def forward(self, x: Tensor) -> Tensor:
        return (x / 3).tanh() * 3


class TAEF2(ModelMixin, ConfigMixin):
    """Deterministic autoencoder, (B, 3, H, W) in [-1, 1] to (B, 32, H/8, W/8) and back.

    Args:
        latent_channels: Channels of the latents; 32 in the release.
        width: Hidden channels; 64 in the release.
        scaling_factor: Factor of latents before diffusion.
        shift_factor: Offset of latents before diffusion; None for none.
        block_out_channels: One entry per level; diffusers derives the scale from their number.
    """

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 32,
        width: int = 64,
        scaling_factor: float = 1.0,
        shift_factor: float | None = None,
        block_out_channels: tuple[int, ...] = (64, 64, 64, 64),
    ) -> None:
        super().__init__()

        def stage(pooled: bool) -> list[nn.Module]:
            return [Block(width, pooled) for _ in range(3)]

        def down() -> nn.Module:
            return nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False)

        def up() -> list[nn.Module]:
            return [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1, bias=False)]

        self.encoder = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            Block(width, pooled=False),
            *(down(), *stage(False)),
            *(down(), *stage(False)),
            *(down(), *stage(True)),
            nn.Conv2d(width, latent_channels, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            *(Limit(), nn.Conv2d(latent_channels, width, 3, padding=1), nn.ReLU()),
            *(*stage(True), *up()),
            *(*stage(False), *up()),
            *(*stage(False), *up()),
            *(Block(width, pooled=False), nn.Conv2d(width, 3, 3, padding=1)),
        )

    def encode(self, images: Tensor) -> AutoencoderKLOutput:
        """Encode images to a posterior of zero variance.

        Args:
            images: (B, 3, H, W) in [-1, 1].
        """
        mean = self.encoder((images + 1) / 2)
        return AutoencoderKLOutput(
            DiagonalGaussianDistribution(
                torch.cat([mean, torch.zeros_like(mean)], dim=1), deterministic=True
            )
        )

    def decode(
        self, latents: Tensor, return_dict: bool = True, generator: torch.Generator | None = None
    ) -> DecoderOutput | tuple[Tensor]:
        """Decode latents to images, as diffusers' decoders.

        Args:
            latents: (B, 32, H/8, W/8).
            return_dict: Return a ``DecoderOutput`` instead of a tuple.
            generator: Ignored.

        Returns:
            (B, 3, H, W), about [-1, 1].
        """
        images = self.decoder(latents) * 2 - 1
        return DecoderOutput(images) if return_dict else (images,)


def open_released(folder: Path) -> TAEF2:
    """Open the released files ``taef2_encoder.pth`` and ``taef2_decoder.pth``.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file does not hold TAEF2's weights.
    """
    network = TAEF2()
    for part in ("encoder", "decoder"):
        file = folder / f"taef2_{part}.pth"
        if not file.is_file():
            msg = f"{file} is missing: get it from https://github.com/madebyollin/taesd"
            raise FileNotFoundError(msg)
        try:
            getattr(network, part).load_state_dict(read_state_dict(file))
        except (ValueError, RuntimeError) as error:
            msg = f"{file} does not hold TAEF2's {part} ({str(error).splitlines()[0]})"
            raise ValueError(msg) from error
    return network.eval().requires_grad_(False)
