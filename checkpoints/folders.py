"""Model names resolved to local files: folder, checkpoint, registry name or Hub id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from checkpoints.hub import fetch
from checkpoints.pull import address_of, pull
from checkpoints.registry import registry
from checkpoints.sizes import check_sizes
from engine.records import read_json

ROOT = Path(__file__).resolve().parent.parent
"""Root of the repository; names of the shipped models are relative to it."""

WEIGHTS = "model.safetensors"
"""File name of the weights in a model folder."""

PIPELINE_PARTS = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "tokenizer/tokenizer_config.json",
    "vae/config.json",
)
"""Files of every text-to-image pipeline of diffusers, besides those of its denoising network."""

PIPELINE_FILES = [
    "model_index.json",
    "*/*.json",
    "*/*.txt",
    "*/*.model",
    "*/*.jinja",
    "*/model.safetensors",
    "*/model-?????-of-?????.safetensors",
    "*/diffusion_pytorch_model.safetensors",
    "*/diffusion_pytorch_model-?????-of-?????.safetensors",
]
"""Files of a diffusers pipeline to download.

Single-file checkpoints and copies in other formats and precisions are left out.
"""


def project_path(path: str | Path) -> Path:
    """Resolve a path in the working directory or in the repository.

    Args:
        path: Absolute path, or one relative to the working directory or to the repository.

    Returns:
        The path in the repository if only that one exists, else the path as given.
    """
    in_repository = ROOT / path
    if in_repository.exists() and not Path(path).exists():
        return in_repository
    return Path(path)


def model_folder(name: str, *needs: str, patterns: list[str] | None = None) -> Path:
    """Find the folder of a model, and download it if needed.

    Args:
        name: A folder (relative to the working directory or to the repository), a name of the
            registry, or a Hub id: ``org/model``, ``org/model@revision`` or ``hf://org/model``.
        needs: Required files.
        patterns: Patterns of the files to download from the Hub; None for all.

    Raises:
        FileNotFoundError: If there is no such model, or a required file is missing.
        ValueError: If the name is a file, or a size in the settings exceeds its limit.
    """
    folder = project_path(name)
    if not folder.is_dir():
        if file := _file(name):
            msg = f"{file} is a file; give the folder of a model"
            raise ValueError(msg)
        folder = _download(name, patterns)
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
        msg = (
            f"{file}: weights without settings; "
            f"give their folder, {file.parent}, with its config.json"
        )
        raise ValueError(msg)
    return file


def weight_file(name: str) -> Path:
    """Find the file with a model's weights: ``model.safetensors`` or a checkpoint.

    Errors are those of :func:`model_path`.
    """
    path = model_path(name, WEIGHTS)
    return path / WEIGHTS if path.is_dir() else path


def pipeline_folder(name: str) -> str:
    """Find the complete folder of a latent-diffusion pipeline; see :func:`model_folder`."""
    folder = model_folder(name, *PIPELINE_PARTS, patterns=PIPELINE_FILES)
    network = "transformer" if (folder / "transformer").is_dir() else "unet"
    return str(model_folder(str(folder), f"{network}/config.json"))


def read_config(folder: Path) -> dict[str, Any]:
    """Read ``config.json`` of a model folder.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a JSON object.
    """
    return read_json(folder / "config.json", dict[str, Any], "download or export the model again")


def _file(name: str) -> Path | None:
    """Return the file of a name; None if the name is no file.

    Raises:
        FileNotFoundError: If the name can only be a checkpoint, and there is none.
    """
    path = project_path(name)
    if path.is_file():
        return path
    if str(name).endswith(".ckpt") and not Path(name).is_dir():
        msg = (
            f"{name}: no such checkpoint; "
            "those of a training are in its default_root_dir, in checkpoints/"
        )
        raise FileNotFoundError(msg)
    return None


def _download(name: str, patterns: list[str] | None) -> Path:
    """Find a model of the registry or the Hub, and download it if needed."""
    entry = registry().get(name)
    try:
        if entry is None:
            return fetch(name, patterns)
        if entry.hub:
            return fetch(address_of(entry), list(entry.patterns) or patterns)
        return pull(name).folder
    except FileNotFoundError as error:
        msg = f"no model at '{name}': no such folder, and {error}"
        raise FileNotFoundError(msg) from error
