"""Reading weight files as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from checkpoints.folders import WEIGHTS
from checkpoints.safe import read_state_dict


def read_weights(folder: Path, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """Read ``model.safetensors`` of a model folder.

    Args:
        folder: The folder.
        dtype: Data type of the returned weights; None keeps that of the file.

    Raises:
        ValueError: If the file is damaged.
    """
    return read_safetensors(folder / WEIGHTS, dtype)


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read a state dict from ``.safetensors`` or a file of ``torch.save``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or contains anything else.
    """
    if file.suffix != ".safetensors":
        return read_state_dict(file)
    if not file.is_file():
        msg = f"{file}: no such file"
        raise FileNotFoundError(msg)
    return read_safetensors(file)


def in_float32(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert floating-point tensors to float32, the precision of this project's networks."""
    floating = {key: value.float() for key, value in state.items() if value.is_floating_point()}
    return dict(state) | floating


def read_safetensors(file: Path, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """Read a safetensors file; see :func:`read_weights`."""
    weights = {}
    try:
        with safe_open(file, "pt") as stream:
            keys = list(stream.keys())
        # reopen the file for each tensor: pages of a mapped file stay in memory until it is closed
        for key in keys:
            with safe_open(file, "pt") as stream:
                weights[key] = stream.get_tensor(key).to(dtype)
    except SafetensorError as error:
        msg = f"{file} is damaged ({error}); download or export the model again"
        raise ValueError(msg) from error
    return weights
