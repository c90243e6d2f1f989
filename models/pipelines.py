"""Opening latent-diffusion pipelines, whichever kind of autoencoder their folders hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    UNet2DModel,
)
from torch import nn

from checkpoints.folders import pipeline_folder, read_config
from checkpoints.golden import Answers
from checkpoints.sizes import check_sizes
from checkpoints.whole import opening
from models.taef2 import TAEF2, open_released

KINDS: dict[str, type[AutoencoderKL | TAEF2]] = {"AutoencoderKL": AutoencoderKL, "TAEF2": TAEF2}

LARGEST_ASKED = 128
"""Side of the latents that a denoiser is asked about when it is verified; larger ones are asked about smaller latents."""


def open_autoencoder(folder: Path | str) -> AutoencoderKL | TAEF2:
    """An autoencoder in float32, for evaluation: a pipeline folder's ``vae``, a folder of its own, or TAEF2's released files.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is of a kind this project cannot attack through.
    """
    place = Path(folder)
    if (place / "taef2_encoder.pth").is_file():
        return open_released(place)
    place = place / "vae" if (place / "vae").is_dir() else place
    check_sizes(place)
    kind = read_config(place).get("_class_name")
    if kind not in KINDS:
        msg = f"{place} is a {kind}; pipelines with {' or '.join(KINDS)} can be used"
        raise ValueError(msg)
    with opening(place):
        return KINDS[kind].from_pretrained(place, dtype=torch.float32).eval()


def open_pipeline(name: str, kind: type[DiffusionPipeline] = StableDiffusionPipeline) -> Any:
    """A pipeline in float32, without progress bars and safety checker; see :func:`checkpoints.folders.model_folder` for names.

    Raises:
        FileNotFoundError: If the model cannot be found.
        ValueError: As :func:`open_autoencoder`.
    """
    folder = pipeline_folder(name)
    parts: dict[str, Any] = {"vae": open_autoencoder(folder)}
    if "safety_checker" in kind._optional_components:
        parts["safety_checker"] = None
    with opening(folder):
        pipeline: Any = kind.from_pretrained(folder, dtype=torch.float32, **parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def pipeline_answers(folder: Path) -> Answers:
    """Ask a diffusion pipeline's folder: latents and image of its autoencoder, prediction of its denoiser.

    Raises:
        ValueError: If a part cannot be opened as what it says it is, or asks for a far larger one.
    """
    check_sizes(folder)
    try:
        return _answers(folder)
    except Exception as error:  # diffusers raises nearly anything on damaged or hostile settings
        msg = f"{folder}: not a pipeline that opens ({str(error).strip().splitlines()[0]}); get it again"
        raise ValueError(msg) from error


@torch.no_grad()
def _answers(folder: Path) -> Answers:
    source, found = torch.Generator().manual_seed(0), {}
    if (folder / "vae").is_dir():
        autoencoder = open_autoencoder(folder)
        latents = autoencoder.encode(torch.rand(1, 3, 64, 64, generator=source) * 2 - 1).latent_dist.mode()
        found = {"latents": latents, "picture": autoencoder.decode(latents, return_dict=False)[0]}
    described = read_config(folder / "unet")
    conditional = "cross_attention_dim" in described
    denoiser: nn.Module = (UNet2DConditionModel if conditional else UNet2DModel).from_pretrained(folder / "unet", dtype=torch.float32)
    sizes: Any = denoiser.config
    side = min(sizes.sample_size, LARGEST_ASKED)
    noisy = torch.randn(1, sizes.in_channels, side, side, generator=source)
    more: dict[str, Any] = {}
    if conditional:
        more["encoder_hidden_states"] = torch.randn(1, 8, sizes.cross_attention_dim, generator=source)
        if sizes.num_class_embeds:
            more["class_labels"] = torch.tensor([20])
    found["prediction"] = denoiser.eval()(noisy, torch.tensor(500), return_dict=False, **more)[0]
    return {name: value.float().contiguous() for name, value in found.items()}
