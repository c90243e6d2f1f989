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
        dtype: Precision the weights are wanted in; the file's own if None.

    Raises:
        ValueError: If it is damaged.
    """
    return read_safetensors(folder / WEIGHTS, dtype)


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read a state dict in any file: ``.safetensors``, or what ``torch.save`` wrote.

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


def in_float32(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring numbers of every precision to float32, as the networks of this project have them."""
    floating = {key: value.float() for key, value in state.items() if value.is_floating_point()}
    return dict(state) | floating


def read_safetensors(file: Path, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """Read a safetensors file; see :func:`read_weights`."""
    weights = {}
    try:
        with safe_open(file, "pt") as opened:
            keys = list(opened.keys())
        # opened anew for each: what was read of a mapped file stays in memory until it is closed
        for key in keys:
            with safe_open(file, "pt") as opened:
                weights[key] = opened.get_tensor(key).to(dtype)
    except SafetensorError as error:
        msg = f"{file} is damaged ({error}); download or export the model again"
        raise ValueError(msg) from error
    return weights
