"""Is a model folder whole? Its own records say which files belong in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from checkpoints.sizes import check_sizes
from engine.records import read_json

PARTS = (
    "config.json",
    "scheduler_config.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "feature_extractor.json",
)
"""What a part of a pipeline may be described by."""

UNSEEN = ("safety_checker",)
"""Parts of pipelines that this project never opens."""

NO_WEIGHTS = frozenset(
    {
        "",
        ".json",
        ".txt",
        ".md",
        ".model",
        ".py",
        ".yaml",
        ".yml",
        ".jinja",
        ".npz",
        ".sha256",
        ".png",
        ".jpg",
        ".jpeg",
    }
)
"""Endings of files beside weights."""

REMEDY = "get a whole copy of it"


@contextmanager
def explaining_load_errors(folder: Path | str) -> Iterator[None]:
    """Name the model folder that another library opens in the block: on damaged ones these raise nearly anything.

    Args:
        folder: The model's.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If it cannot be opened, or asks for a far larger network than its weights are; the message names it.
        MemoryError: If memory does not suffice.
    """
    check_sizes(Path(folder))
    try:
        yield
    except (FileNotFoundError, ImportError, MemoryError):
        raise
    except Exception as error:
        if (isinstance(error, ValueError) and str(folder) in str(error)) or type(
            error
        ).__name__ == "OutOfMemoryError":
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        msg = f"{folder}: damaged, or its settings and weights do not fit together ({reason}); {REMEDY}"
        raise ValueError(msg) from error


def missing_files(folder: Path) -> list[str]:
    """Name the files that the records of a model folder ask for and that are not there.

    The records are ``model_index.json`` of a pipeline, ``config.json`` of a network, and lists of
    weights in several files.

    Args:
        folder: The model's.

    Raises:
        ValueError: If a record is damaged.
    """
    lacking = []
    if (folder / "model_index.json").is_file():
        index = read_json(folder / "model_index.json", dict[str, Any], REMEDY)
        for part, kind in index.items():
            named = isinstance(kind, list) and len(kind) == 2 and None not in kind
            if named and part not in UNSEEN and Path(part).name == part:
                lacking += [f"{part}/{name}" for name in _missing_of_part(folder / part)]
    lacking += _missing_of_network(folder) if (folder / "config.json").is_file() else []
    return list(dict.fromkeys(lacking))


def refuse_incomplete(folder: Path, name: str) -> None:
    """Refuse a model folder in which files are missing.

    Args:
        folder: The model's.
        name: What it is called, for the message.

    Raises:
        FileNotFoundError: If one is; the message names the first.
    """
    if lacking := missing_files(folder):
        more = f", and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        msg = f"{name} is not whole: {lacking[0]} is missing in {folder}{more}; get the model again"
        raise FileNotFoundError(msg)


def _missing_of_part(folder: Path) -> list[str]:
    """Of a pipeline's part: its description at least."""
    if not any((folder / name).is_file() for name in PARTS):
        return ["config.json"]
    return _missing_of_network(folder) if (folder / "config.json").is_file() else []


def _missing_of_network(folder: Path) -> list[str]:
    """Of a folder with one network: weights in one file, or all files of a list of them."""
    config = read_json(folder / "config.json", dict[str, Any], REMEDY)
    here = {path.name for path in folder.iterdir() if path.is_file()}
    indices = sorted(folder.glob("*.index.json"), key=lambda path: "safetensors" not in path.name)
    lists = [set(_listed(index)) for index in indices]
    whole = {name for name in here if Path(name).suffix not in NO_WEIGHTS}.difference(*lists)
    if whole or any(names and names <= here for names in lists):
        return []
    if lists and lists[0]:
        return sorted(lists[0] - here)
    stem = "diffusion_pytorch_model" if "_class_name" in config else "model"
    return [f"{stem}.safetensors"]


def _listed(index: Path) -> list[str]:
    """File names in a list of weights."""
    parts = read_json(index, dict[str, Any], REMEDY).get("weight_map")
    return list(map(str, parts.values())) if isinstance(parts, dict) else []
