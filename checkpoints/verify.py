"""Verification of local models: hashes, shapes, and one forward pass against golden outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from checkpoints.digests import check_digest
from checkpoints.folders import model_path, read_config
from checkpoints.golden import MAX_RELATIVE_ERROR, Outputs, compute_outputs, relative_error
from checkpoints.lightning_files import read_checkpoint
from checkpoints.pull import PICKLED, check_hashes, find_local, unverified, weight_files
from checkpoints.registry import registry
from checkpoints.safe import is_program, read_pickled
from checkpoints.saved import SavedModel
from checkpoints.whole import refuse_incomplete

FindClass = Callable[[dict[str, Any]], type[SavedModel] | None]
"""Function from a folder's settings to its model class; None for a foreign class."""

RunPipeline = Callable[[Path], Outputs]
"""Function from a diffusion pipeline's folder to its outputs."""


@dataclass(frozen=True)
class Verified:
    """Result of a verification.

    Attributes:
        folder: Folder or file of the model.
        files: Number of hashed weight files.
        unverified: Files without a published hash.
        opened: Class that loaded the model strictly; empty if this project has no such class.
        difference: Largest difference from the golden outputs, relative to the largest one;
            None without golden outputs.
    """

    folder: Path
    files: int
    unverified: tuple[str, ...]
    opened: str
    difference: float | None


def verify(name: str, find_class: FindClass, run_pipeline: RunPipeline) -> Verified:
    """Verify a local model.

    Args:
        name: A folder, a Lightning checkpoint, a name of the registry, or ``hf://org/model``.
        find_class: Function that finds the model class.
        run_pipeline: Function that runs a diffusion pipeline.

    Raises:
        FileNotFoundError: If the model is not on this machine, or a file is missing.
        ValueError: If a check fails.
    """
    # find the model
    path = Path(name)
    if path.is_file() or name.endswith(".ckpt"):
        return verify_checkpoint(model_path(name), find_class)
    folder = path if path.is_dir() else find_local(name)
    refuse_incomplete(folder, name)

    # hash and read its weight files
    entry = registry().get(name)
    files = entry.files if entry is not None and not path.is_dir() else ()
    hashes = check_hashes(name, folder, files)
    if not hashes:
        msg = (
            f"{folder} contains no weights; name a model's folder, "
            "get it with python -m checkpoints pull, or export it again"
        )
        raise FileNotFoundError(msg)
    check_digest(folder)
    for file in weight_files(folder):
        check_readable(file)

    # run it, and compare with the golden outputs
    opened, outputs = load_and_run(folder, find_class, run_pipeline)
    difference = relative_error(folder, outputs) if outputs else None
    if difference is not None and not difference <= MAX_RELATIVE_ERROR:
        msg = (
            f"{folder}: its outputs differ by {difference:.1%} from the golden outputs, "
            f"at most {MAX_RELATIVE_ERROR:.1%} is allowed"
        )
        raise ValueError(msg)
    return Verified(folder, len(hashes), unverified(files, hashes), opened, difference)


def verify_checkpoint(file: Path, find_class: FindClass) -> Verified:
    """Verify a Lightning checkpoint by loading this project's models from it.

    Checkpoints have no golden outputs.

    Args:
        file: The checkpoint.
        find_class: Function that finds the model class.

    Raises:
        ValueError: If the checkpoint is damaged, or lacks a model that it names.
    """
    _, configs = read_checkpoint(file)
    kinds = [kind for kind in map(find_class, configs.values()) if kind is not None]
    for kind in kinds:
        kind.from_pretrained(file)
    return Verified(file, 1, (file.name,), " and a ".join(kind.__name__ for kind in kinds), None)


def load_and_run(
    folder: Path, find_class: FindClass, run_pipeline: RunPipeline
) -> tuple[str, Outputs]:
    """Load the model in a folder, and run it on its example inputs.

    Args:
        folder: The model's folder.
        find_class: Function that finds the model class.
        run_pipeline: Function that runs a diffusion pipeline.

    Returns:
        Class name and outputs; both empty for models of other classes.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the model cannot be loaded.
    """
    if (folder / "model_index.json").is_file():
        return "diffusion pipeline", run_pipeline(folder)
    kind = find_class(read_config(folder)) if (folder / "config.json").is_file() else None
    if kind is None:
        return "", {}
    return kind.__name__, compute_outputs(kind.from_pretrained(folder))


def check_readable(file: Path) -> None:
    """Read a weight file without running code in it.

    TorchScript programs are not read.

    Raises:
        ValueError: If the file is damaged or contains more than tensors.
    """
    if file.suffix == ".safetensors":
        try:
            with safe_open(file, "pt") as stream:
                list(stream.keys())
        except SafetensorError as error:
            msg = f"{file} is damaged ({error}); get it again"
            raise ValueError(msg) from error
    elif file.suffix in PICKLED and not is_program(file):
        read_pickled(file)
