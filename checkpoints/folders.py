"""From the name of a model, as a person writes it, to its files on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from checkpoints.hub import fetch
from checkpoints.pull import address_of, pull
from checkpoints.registry import registry
from checkpoints.sizes import check_sizes
from engine.records import read_json

ROOT = Path(__file__).resolve().parent.parent
"""The repository; the shipped models are named relative to it."""

WEIGHTS = "model.safetensors"
"""The weights in a model folder."""

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
    f"*/{stem}{part}.safetensors"
    for stem in ("model", "diffusion_pytorch_model")
    for part in ("", "-?????-of-?????")
]
"""What is downloaded of any pipeline of diffusers: neither single-file checkpoints nor copies in other formats and precisions."""


def project_path(path: str | Path) -> Path:
    """Find a path of the working directory, or the project's own of that name.

    Args:
        path: Absolute, or relative to the working directory or to the project.

    Returns:
        The project's if that alone exists, otherwise the path as given.
    """
    own = ROOT / path
    return own if own.exists() and not Path(path).exists() else Path(path)


def model_folder(name: str, *needs: str, patterns: list[str] | None = None) -> Path:
    """Find the folder that holds a model.

    Args:
        name: A folder (relative to the working directory or to the repository), a name of the registry, or a Hub id such as
            ``org/model``, ``org/model@revision`` or ``hf://org/model``.
        needs: Files that must be in it.
        patterns: What to download from the Hub; everything if None.

    Raises:
        FileNotFoundError: If it is neither a folder nor obtainable, or a needed file is missing; says what to do.
        ValueError: If it is a file, or its settings ask for a network of a size that none has.
    """
    folder = project_path(name)
    if not folder.is_dir():
        if file := _file(name):
            msg = f"{file} is a file; a model's folder is asked for here"
            raise ValueError(msg)
        folder = _elsewhere(name, patterns)
    for need in needs:
        if not (folder / need).is_file():
            msg = f"{name}: {need} is missing in {folder}; name a complete model folder"
            raise FileNotFoundError(msg)
    check_sizes(folder)
    return folder


def model_path(name: str, *needs: str, patterns: list[str] | None = None) -> Path:
    """Find a model of this project: its folder, or the Lightning checkpoint that holds it.

    Args:
        name: A checkpoint file (``.ckpt``), or what :func:`model_folder` takes.
        needs: As for :func:`model_folder`.
        patterns: As for :func:`model_folder`.

    Raises:
        FileNotFoundError: As :func:`model_folder`; also if there is no such checkpoint.
        ValueError: If it is the weights of a folder without the folder.
    """
    file = _file(name)
    if file is None:
        return model_folder(name, *needs, patterns=patterns)
    if file.suffix == ".safetensors":
        msg = f"{file}: weights alone do not say what they are; name their folder, {file.parent}, with its config.json"
        raise ValueError(msg)
    return file


def weight_file(name: str) -> Path:
    """Find the file with a model's weights: ``model.safetensors`` of its folder, or its checkpoint; errors as :func:`model_path`."""
    place = model_path(name, WEIGHTS)
    return place / WEIGHTS if place.is_dir() else place


def pipeline_folder(name: str) -> str:
    """Find the folder of a latent-diffusion pipeline, with all its parts; see :func:`model_folder`."""
    patterns = ["*.json", "*.txt", "*/*.json", "*/*.txt", "*/*.safetensors"]
    return str(model_folder(name, *PIPELINE_PARTS, patterns=patterns))


def read_config(folder: Path) -> dict[str, Any]:
    """Read ``config.json`` of a model folder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it cannot be read as what it should be.
    """
    return read_json(folder / "config.json", dict[str, Any], "download or export the model again")


def _file(name: str) -> Path | None:
    """A file of this name; None if there is none and the name may mean something else."""
    path = project_path(name)
    file = path if path.is_file() else None
    if file is None and str(name).endswith(".ckpt") and not Path(name).is_dir():
        msg = f"{name}: no such checkpoint; those of a training are in its default_root_dir, in checkpoints/"
        raise FileNotFoundError(msg)
    return file


def _elsewhere(name: str, patterns: list[str] | None) -> Path:
    """From the registry or the Hub."""
    found = registry().get(name)
    try:
        if found is None:
            return fetch(name, patterns)
        return (
            fetch(address_of(found), list(found.patterns) or patterns)
            if found.hub
            else pull(name).folder
        )
    except FileNotFoundError as error:
        msg = f"no model at '{name}': no such folder, and {error}"
        raise FileNotFoundError(msg) from error
