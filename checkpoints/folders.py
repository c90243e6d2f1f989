"""From the name of a model, as a person writes it, to a folder of files on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from checkpoints.hub import fetch
from checkpoints.pull import address_of, pull
from checkpoints.registry import registry
from checkpoints.safe import read_state_dict

ROOT = Path(__file__).resolve().parent.parent
"""The repository; the shipped models are named relative to it."""

PIPELINE_PARTS = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "tokenizer/tokenizer_config.json",
    "unet/config.json",
    "vae/config.json",
)
"""What a folder that diffusers opens as a text-to-image pipeline has."""

PIPELINE_FILES = ["model_index.json", "*/*.json", "*/*.txt", "*/*.model"] + [
    f"*/{stem}{part}.safetensors" for stem in ("model", "diffusion_pytorch_model") for part in ("", "-?????-of-?????")
]
"""What is downloaded of any pipeline of diffusers: neither single-file checkpoints nor copies in other formats and precisions."""


def model_folder(name: str, *needs: str, patterns: list[str] | None = None) -> Path:
    """The folder that holds a model.

    Args:
        name: A folder (relative to the working directory or to the repository), a name of the registry, or a Hub id such as
            ``org/model``, ``org/model@revision`` or ``hf://org/model``.
        needs: Files that must be in it.
        patterns: What to download from the Hub; everything if None.

    Raises:
        FileNotFoundError: If it is neither a folder nor obtainable, or a needed file is missing; says what to do.
    """
    folder = next((path for path in (Path(name), ROOT / name) if path.is_dir()), None)
    if folder is None:
        folder = _elsewhere(name, patterns)
    for need in needs:
        if not (folder / need).is_file():
            msg = f"{name}: {need} is missing in {folder}; name a complete model folder"
            raise FileNotFoundError(msg)
    return folder


def pipeline_folder(name: str) -> str:
    """The folder of a latent-diffusion pipeline, with all its parts; see :func:`model_folder`."""
    patterns = ["*.json", "*.txt", "*/*.json", "*/*.txt", "*/*.safetensors"]
    return str(model_folder(name, *PIPELINE_PARTS, patterns=patterns))


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a model folder.

    Raises:
        ValueError: If it cannot be read as what it should be.
    """
    try:
        config = json.loads((folder / "config.json").read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        msg = f"{folder / 'config.json'} is not valid JSON ({error}); download or export the model again"
        raise ValueError(msg) from error
    if not isinstance(config, dict):
        msg = f"{folder / 'config.json'} holds no settings; download or export the model again"
        raise ValueError(msg)
    return config


def read_weights(folder: Path, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """``model.safetensors`` of a model folder.

    Args:
        folder: The folder.
        dtype: Precision the weights are wanted in; the file's own if None.

    Raises:
        ValueError: If it is damaged.
    """
    return read_safetensors(folder / "model.safetensors", dtype)


def read_tensors(file: Path) -> dict[str, Tensor]:
    """A state dict in any file: ``.safetensors``, or what ``torch.save`` wrote, read as :func:`checkpoints.safe.read_state_dict` does.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or holds anything else.
    """
    if file.suffix != ".safetensors":
        return read_state_dict(file)
    if not file.is_file():
        msg = f"{file}: no such file"
        raise FileNotFoundError(msg)
    return read_safetensors(file)


def read_safetensors(file: Path, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """A safetensors file; see :func:`read_weights`."""
    weights = {}
    try:
        with safe_open(file, "pt") as opened:
            keys = list(opened.keys())
        for key in keys:  # opened anew for each: what was read of a mapped file stays in memory until it is closed
            with safe_open(file, "pt") as opened:
                weights[key] = opened.get_tensor(key).to(dtype)
    except SafetensorError as error:
        msg = f"{file} is damaged ({error}); download or export the model again"
        raise ValueError(msg) from error
    return weights


def _elsewhere(name: str, patterns: list[str] | None) -> Path:
    """From the registry or the Hub."""
    found = registry().get(name)
    try:
        if found is None:
            return fetch(name, patterns)
        return fetch(address_of(found), list(found.patterns) or patterns) if found.hub else pull(name).folder
    except FileNotFoundError as error:
        msg = f"no model at '{name}': no such folder, and {error}"
        raise FileNotFoundError(msg) from error
