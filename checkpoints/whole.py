"""Completeness of model folders, according to the file lists in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from checkpoints.sizes import check_sizes
from engine.records import read_json

PART_CONFIGS = (
    "config.json",
    "scheduler_config.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "feature_extractor.json",
)
"""Names of the settings file of a pipeline's part."""

UNUSED_PARTS = ("safety_checker",)
"""Parts of pipelines that this project never loads."""

OTHER_SUFFIXES = frozenset(
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
"""Suffixes of files that contain no weights."""

REMEDY = "get a whole copy of it"


@contextmanager
def explaining_load_errors(folder: Path | str) -> Iterator[None]:
    """Convert the errors of other libraries that load a model in a block.

    These libraries raise nearly any error for damaged models.

    Args:
        folder: Folder of the model.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the model cannot be loaded, or a size in its settings exceeds its limit;
            the message names the folder.
        MemoryError: If there is too little memory.
    """
    check_sizes(Path(folder))
    try:
        yield
    except (FileNotFoundError, ImportError, MemoryError):
        raise
    except Exception as error:
        kind = type(error).__name__
        names_folder = isinstance(error, ValueError) and str(folder) in str(error)
        if names_folder or kind == "OutOfMemoryError":
            raise
        reason = " ".join(str(error).split())[:200] or kind
        msg = f"{folder}: damaged, or its settings and weights do not match ({reason}); {REMEDY}"
        raise ValueError(msg) from error


def missing_files(folder: Path) -> list[str]:
    """List the missing files of a model folder.

    ``model_index.json`` lists the parts of a pipeline. A network needs ``config.json`` and its
    weights, in one file or in all files of a ``*.index.json``.

    Args:
        folder: Folder of the model.

    Raises:
        ValueError: If a list is damaged.
    """
    missing = []
    if (folder / "model_index.json").is_file():
        index = read_json(folder / "model_index.json", dict[str, Any], REMEDY)
        for part, kind in index.items():
            # a part has a library and a class; a disabled one has None
            is_used = isinstance(kind, list) and len(kind) == 2 and None not in kind
            if is_used and part not in UNUSED_PARTS and Path(part).name == part:
                missing += [f"{part}/{name}" for name in _missing_of_part(folder / part)]
    if (folder / "config.json").is_file():
        missing += _missing_of_network(folder)
    return list(dict.fromkeys(missing))


def absent_parts(folder: Path | str) -> dict[str, None]:
    """Return the parts that a pipeline was saved without, as arguments that say so.

    ``from_pretrained`` of diffusers takes a part for forgotten unless it is optional: Stable
    Diffusion 3 without T5 opens only with ``text_encoder_3=None, tokenizer_3=None``.

    Args:
        folder: Folder of the pipeline.

    Raises:
        FileNotFoundError: If there is no ``model_index.json``.
        ValueError: If it is damaged.
    """
    index = read_json(Path(folder) / "model_index.json", dict[str, Any], REMEDY)
    return dict.fromkeys(part for part, kind in index.items() if kind == [None, None])


def refuse_incomplete(folder: Path, name: str) -> None:
    """Refuse a model folder with missing files.

    Args:
        folder: Folder of the model.
        name: Name of the model, for the message.

    Raises:
        FileNotFoundError: If a file is missing; the message names the first.
    """
    if missing := missing_files(folder):
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        msg = (
            f"{name} is not complete: {missing[0]} is missing in {folder}{more}; "
            "get the model again"
        )
        raise FileNotFoundError(msg)


def _missing_of_part(folder: Path) -> list[str]:
    """List the missing files of a pipeline's part, which has at least its settings."""
    if not any((folder / name).is_file() for name in PART_CONFIGS):
        return ["config.json"]
    return _missing_of_network(folder) if (folder / "config.json").is_file() else []


def _missing_of_network(folder: Path) -> list[str]:
    """List the missing weight files of a network.

    The weights are in one file, or in all files of an index.
    """
    # the present files, and those of each index
    config = read_json(folder / "config.json", dict[str, Any], REMEDY)
    present = {path.name for path in folder.iterdir() if path.is_file()}
    indices = sorted(folder.glob("*.index.json"), key=lambda path: "safetensors" not in path.name)
    indexed = [set(_indexed_files(index)) for index in indices]

    # complete with a weight file outside any index, or with all files of one
    weights = {name for name in present if Path(name).suffix not in OTHER_SUFFIXES}
    single_files = weights.difference(*indexed)
    if single_files or any(names and names <= present for names in indexed):
        return []
    if indexed and indexed[0]:
        return sorted(indexed[0] - present)
    stem = "diffusion_pytorch_model" if "_class_name" in config else "model"
    return [f"{stem}.safetensors"]


def _indexed_files(index: Path) -> list[str]:
    """Return the file names in an index of weights."""
    parts = read_json(index, dict[str, Any], REMEDY).get("weight_map")
    return list(map(str, parts.values())) if isinstance(parts, dict) else []
