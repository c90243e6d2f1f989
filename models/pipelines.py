"""Loading of latent-diffusion pipelines and their autoencoders."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    DiffusionPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    UNet2DModel,
)
from torch import nn

from checkpoints.folders import pipeline_folder, read_config
from checkpoints.golden import Outputs
from checkpoints.sizes import check_sizes
from checkpoints.whole import absent_parts, explaining_load_errors
from models.taef2 import TAEF2, open_released

Autoencoder: TypeAlias = AutoencoderKL | AutoencoderKLFlux2 | TAEF2

KINDS: dict[str, type[Autoencoder]] = {
    "AutoencoderKL": AutoencoderKL,
    "AutoencoderKLFlux2": AutoencoderKLFlux2,
    "TAEF2": TAEF2,
}

MAX_LATENT_SIDE = 128
"""Largest side of the latents for the verification of a denoiser."""


AUTOENCODER_FILES = [
    "config.json",
    "diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "taef2_*.pth",
]
"""Files to download of a pipeline or an autoencoder."""


def open_autoencoder(folder: Path | str) -> Autoencoder:
    """Open an autoencoder in float32, in evaluation mode.

    Args:
        folder: Pipeline folder with ``vae``, folder of an autoencoder, or folder of TAEF2's
            released files.

    Raises:
        FileNotFoundError: If the folder has no autoencoder.
        ValueError: If the kind of autoencoder is not supported.
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
    with explaining_load_errors(place):
        return KINDS[kind].from_pretrained(place, dtype=torch.float32).eval()


@torch.no_grad()
def round_trip(autoencoder: Any, images: torch.Tensor) -> torch.Tensor:
    """Encode and decode images.

    Args:
        autoencoder: As of :func:`open_autoencoder`.
        images: (B, 3, H, W) in [0, 1], of any size: they are padded to a multiple of the stride.

    Returns:
        (B, 3, H, W) in [0, 1], on the device of the autoencoder.
    """
    multiple = 2 ** (len(autoencoder.config.block_out_channels) - 1)
    height, width = images.shape[-2:]
    padding = (0, -width % multiple, 0, -height % multiple)
    mode = "reflect" if max(padding) < min(height, width) else "replicate"
    padded = F.pad(images, padding, mode=mode).to(next(autoencoder.parameters()).device)
    output = autoencoder.decode(autoencoder.encode(padded * 2 - 1).latent_dist.mode()).sample
    return (output[:, :, :height, :width].float() / 2 + 0.5).clamp(0, 1)


def open_pipeline(
    name: str,
    kind: type[DiffusionPipeline] = StableDiffusionPipeline,
    dtype: torch.dtype = torch.float32,
) -> Any:
    """Open a pipeline without progress bars and safety checker.

    Args:
        name: Folder or Hub id; see :func:`checkpoints.folders.model_folder`.
        kind: Class of the pipeline.
        dtype: Precision of all parts but the autoencoder, which is in float32.

    Raises:
        FileNotFoundError: If the model cannot be found.
        ValueError: If its autoencoder is not supported, or the pipeline takes another network.
    """
    folder = pipeline_folder(name)
    network = "transformer" if (Path(folder) / "transformer").is_dir() else "unet"
    if network not in signature(kind).parameters:
        msg = f"{name} has a {network}, which no {kind.__name__} takes; choose another model"
        raise ValueError(msg)
    parts: dict[str, Any] = absent_parts(folder) | {"vae": open_autoencoder(folder)}
    if "safety_checker" in kind._optional_components:
        parts["safety_checker"] = None
    with explaining_load_errors(folder):
        pipeline: Any = kind.from_pretrained(folder, dtype=dtype, **parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def pipeline_outputs(folder: Path) -> Outputs:
    """Compute a pipeline's golden outputs from fixed inputs.

    They are latents and image of the autoencoder, and prediction of the denoiser.

    Raises:
        ValueError: If a part cannot be opened, or its settings ask for a far larger network.
    """
    check_sizes(folder)
    try:
        return _answers(folder)
    except Exception as error:  # diffusers raises nearly anything on damaged or hostile settings
        msg = (
            f"{folder}: not a pipeline that opens ({str(error).strip().splitlines()[0]}); "
            "get it again"
        )
        raise ValueError(msg) from error


@torch.no_grad()
def _answers(folder: Path) -> Outputs:
    source = torch.Generator().manual_seed(0)
    answers: dict[str, Any] = {}
    # Encode and decode random values.
    if (folder / "vae").is_dir():
        autoencoder = open_autoencoder(folder)
        latents = autoencoder.encode(
            torch.rand(1, 3, 64, 64, generator=source) * 2 - 1
        ).latent_dist.mode()
        answers = {"latents": latents, "picture": autoencoder.decode(latents, return_dict=False)[0]}
    if (folder / "transformer").is_dir():
        channels = answers["latents"].shape[1]
        noisy = torch.randn(1, channels, 8, 8, generator=source)
        answers["prediction"] = _transformer_prediction(folder, noisy)
        return {name: value.float().contiguous() for name, value in answers.items()}
    described = read_config(folder / "unet")
    conditional = "cross_attention_dim" in described
    denoiser: nn.Module = (UNet2DConditionModel if conditional else UNet2DModel).from_pretrained(
        folder / "unet", dtype=torch.float32
    )
    sizes: Any = denoiser.config
    side = min(sizes.sample_size, MAX_LATENT_SIDE)
    noisy = torch.randn(1, sizes.in_channels, side, side, generator=source)
    more: dict[str, Any] = {}
    if conditional:
        more["encoder_hidden_states"] = torch.randn(
            1, 8, sizes.cross_attention_dim, generator=source
        )
        if sizes.num_class_embeds:
            more["class_labels"] = torch.tensor([20])
    answers["prediction"] = denoiser.eval()(noisy, torch.tensor(500), return_dict=False, **more)[0]
    return {name: value.float().contiguous() for name, value in answers.items()}


def _transformer_prediction(folder: Path, noisy: torch.Tensor) -> torch.Tensor:
    """Predict with a transformer and its text encoders."""
    from models.denoisers import open_family

    family = open_family(str(folder))
    conditions = family.encode_apart(["photo of a person"])
    conditions = {name: value.float() for name, value in conditions.items()}
    network = family.open_network(torch.float32)
    return family.predict(network, noisy, torch.tensor([500.0]), conditions)
