"""Answers to compare with: what a model said to fixed inputs where it was made, kept beside its weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from checkpoints.safe import check_archive

if TYPE_CHECKING:
    from checkpoints.saved import SavedModel

GOLDEN = "golden.npz"

TOLERATED = 1e-3
"""Largest difference, in shares of the largest answer: machines add up in different orders."""

Answers = dict[str, Tensor]


@torch.no_grad()
def answers(model: SavedModel) -> Answers:
    """What a model says to its example inputs, in float32 on the CPU; yes-or-no answers are left out, as they may hang by a hair."""
    inputs = model.example_inputs()
    found = model.cpu().float().eval()(*(inputs if isinstance(inputs, tuple) else (inputs,)))
    parts = found if isinstance(found, list | tuple) else [found]
    return {f"answer.{index}": part.float().contiguous() for index, part in enumerate(parts) if part.is_floating_point()}


@torch.no_grad()
def pipeline_answers(folder: Path) -> Answers:
    """The same of a diffusion pipeline's folder: latents and picture of its autoencoder, prediction of its denoiser."""
    from diffusers import UNet2DConditionModel, UNet2DModel  # takes seconds

    from checkpoints.pipelines import open_autoencoder

    source, found = torch.Generator().manual_seed(0), {}
    if (folder / "vae").is_dir():
        autoencoder = open_autoencoder(folder)
        latents = autoencoder.encode(torch.rand(1, 3, 64, 64, generator=source) * 2 - 1).latent_dist.mode()
        found = {"latents": latents, "picture": autoencoder.decode(latents, return_dict=False)[0]}
    conditional = "cross_attention_dim" in (folder / "unet" / "config.json").read_text()
    denoiser: nn.Module = (UNet2DConditionModel if conditional else UNet2DModel).from_pretrained(folder / "unet", dtype=torch.float32)
    sizes: Any = denoiser.config
    noisy = torch.randn(1, sizes.in_channels, sizes.sample_size, sizes.sample_size, generator=source)
    more: dict[str, Any] = {}
    if conditional:
        more["encoder_hidden_states"] = torch.randn(1, 8, sizes.cross_attention_dim, generator=source)
        if sizes.num_class_embeds:
            more["class_labels"] = torch.tensor([20])
    found["prediction"] = denoiser.eval()(noisy, torch.tensor(500), return_dict=False, **more)[0]
    return {name: value.float().contiguous() for name, value in found.items()}


def save_answers(folder: Path, found: Answers) -> None:
    """Keep answers beside the weights, whole or not at all."""
    partial = folder / f"{GOLDEN}.{os.getpid()}.partial"
    with partial.open("wb") as stream:
        np.savez(stream, **{name: value.numpy() for name, value in found.items()})  # type: ignore[arg-type]
    os.replace(partial, folder / GOLDEN)


def difference(folder: Path, found: Mapping[str, Tensor]) -> float | None:
    """How far answers are from those kept beside the weights, in shares of the largest; None if none are kept.

    Raises:
        ValueError: If those kept are damaged, or of other shapes.
    """
    file = folder / GOLDEN
    if not file.is_file():
        return None
    check_archive(file)
    try:
        with np.load(file, allow_pickle=False) as stored:
            kept = {name: torch.from_numpy(stored[name]).float() for name in stored.files}
    except (ValueError, OSError, TypeError) as error:
        msg = f"{file} is damaged ({error}); get it again, or record it anew"
        raise ValueError(msg) from error
    if {name: value.shape for name, value in kept.items()} != {name: value.shape for name, value in found.items()}:
        msg = f"{file}: its answers are of other shapes than the model's; is it another model's?"
        raise ValueError(msg)
    return max(float((found[name] - kept[name]).abs().max() / kept[name].abs().max().clamp(min=1e-6)) for name in kept)
