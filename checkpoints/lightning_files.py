"""Models inside Lightning checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from checkpoints.safe import read_pickled

Config = dict[str, Any]
Weights = dict[str, Tensor]

MODELS_KEY = "models"
"""Key of a Lightning checkpoint with the settings of its models."""


def read_checkpoint(path: Path) -> tuple[Weights, dict[str, Config]]:
    """Read a Lightning checkpoint.

    Returns:
        Its weights, and class and settings of each of its models by module name.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, or no Lightning checkpoint.
    """
    content = read_pickled(path)
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not _is_dict_of(state, Tensor) or not state:
        msg = (
            f"{path}: not a Lightning checkpoint; "
            "give a model folder, a checkpoint that fit wrote, or a Hub id"
        )
        raise ValueError(msg)
    configs = content.get(MODELS_KEY, {})
    if not _is_dict_of(configs, dict):
        msg = f"{path}: the settings of its models are damaged; give another checkpoint of the run"
        raise ValueError(msg)
    return state, configs


def _is_dict_of(value: Any, kind: type) -> bool:
    """Return True for a dictionary whose values all have a type."""
    return isinstance(value, dict) and all(isinstance(inner, kind) for inner in value.values())


def parts_with_keys(state: Weights, keys: Sequence[str]) -> list[str]:
    """Find the module names of the parts of a checkpoint that have all keys of a network."""
    first = keys[0]
    candidates = {name.removesuffix(first).rstrip(".") for name in state if name.endswith(first)}
    complete = []
    for part in candidates:
        if all(_full_name(part, key) in state for key in keys):
            complete.append(part)
    return complete


def weights_of_part(state: Weights, part: str) -> Weights:
    """Select the weights of one part of a checkpoint, with the part's own key names."""
    prefix = _full_name(part, "")
    weights = {}
    for name, value in state.items():
        if name.startswith(prefix):
            weights[name.removeprefix(prefix)] = value
    return weights


def _full_name(part: str, key: str) -> str:
    """Return the name of a part's weight in the checkpoint."""
    return f"{part}.{key}" if part else key
