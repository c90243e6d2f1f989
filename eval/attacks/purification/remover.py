"""Purification by a network that has learned to undo a protection."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import UNet2DModel
from torch import Tensor, nn

from checkpoints.folders import model_folder
from checkpoints.whole import explaining_load_errors
from images.transforms.purifier import Purifier

GROUPS = 8
"""Groups of the normalization; widths are multiples of it."""


class LearnedRemover(Purifier):
    """Remover trained on pairs that the attacker made with the protection itself.

    This is LightShed's idea (USENIX Security 2025): the attacker has the tool. ``python -m eval
    remover`` trains one on other people's images; it then serves for all victims.

    Args:
        model: Folder of the trained network.
        batch_size: Images at a time, at least 1.
    """

    model: str

    def __init__(self, model: str, batch_size: int = 8) -> None:
        if batch_size < 1:
            msg = f"batch_size must be at least 1, got {batch_size}"
            raise ValueError(msg)
        self.model = model
        self.batch_size = batch_size

    @cached_property
    def network(self) -> Any:
        """The network, opened on first use.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it cannot be opened.
        """
        folder = model_folder(self.model, "config.json", "diffusion_pytorch_model.safetensors")
        with explaining_load_errors(folder):
            network = UNet2DModel.from_pretrained(folder)
        return network.eval().requires_grad_(False).to(self.device)

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        parts = [part.to(self.device) for part in images.split(self.batch_size)]
        return torch.cat([remove(self.network, part) for part in parts]).clamp(0, 1).to(images)


def build_remover(widths: Sequence[int]) -> Any:
    """Build a U-Net from protected images to the correction; at first it changes nothing.

    Args:
        widths: Channels of each level, multiples of 8; each level after the first halves the side.

    Raises:
        ValueError: If a width is no multiple of 8, or there is none.
    """
    if not widths or any(width < 1 or width % GROUPS for width in widths):
        msg = f"widths must be multiples of {GROUPS}, got {list(widths)}"
        raise ValueError(msg)
    network = UNet2DModel(
        in_channels=3,
        out_channels=3,
        block_out_channels=tuple(widths),
        down_block_types=("DownBlock2D",) * len(widths),
        up_block_types=("UpBlock2D",) * len(widths),
        layers_per_block=1,
        norm_num_groups=GROUPS,
        add_attention=False,
    )
    nn.init.zeros_(network.conv_out.weight)
    nn.init.zeros_(network.conv_out.bias)
    return network


def remove(network: Any, images: Tensor) -> Tensor:
    """Correct protected images of any size.

    Args:
        network: As of :func:`build_remover`.
        images: (B, 3, H, W) in [0, 1].

    Returns:
        The same shape, not clamped.
    """
    height, width = images.shape[-2:]
    multiple = 2 ** (len(network.config.block_out_channels) - 1)
    padded = F.pad(images, (0, -width % multiple, 0, -height % multiple), mode="replicate")
    correction: Tensor = network(padded * 2 - 1, 0).sample
    return images + correction[..., :height, :width]
