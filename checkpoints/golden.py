"""Golden outputs: reference model outputs stored beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from checkpoints.safe import check_archive
from engine.files import atomic_write

GOLDEN = "golden.npz"

MAX_RELATIVE_ERROR = 1e-3
"""Largest difference relative to the largest output; machines sum in different orders."""

Outputs = dict[str, Tensor]


class HasExampleInputs(Protocol):
    """Network with example inputs."""

    def example_inputs(self) -> Tensor | tuple[Tensor, ...]: ...


@torch.no_grad()
def compute_outputs(model: HasExampleInputs) -> Outputs:
    """Run a model on its example inputs, in float32 on the CPU.

    Only floating-point outputs are returned: rounding can flip a boolean one.
    """
    inputs = model.example_inputs()
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    network = cast(nn.Module, model).cpu().float().eval()
    result = network(*arguments)
    parts = result if isinstance(result, list | tuple) else [result]
    outputs = {}
    for index, part in enumerate(parts):
        if part.is_floating_point():
            outputs[f"answer.{index}"] = part.float().contiguous()
    return outputs


def save_outputs(folder: Path, outputs: Outputs) -> None:
    """Save outputs beside the weights, atomically."""
    arrays = {name: value.numpy() for name, value in outputs.items()}
    with atomic_write(folder / GOLDEN) as partial, partial.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def relative_error(folder: Path, outputs: Mapping[str, Tensor]) -> float | None:
    """Compare outputs with the golden ones, relative to the largest golden output.

    Returns:
        The largest difference, NaN if an output is NaN; None without golden outputs.

    Raises:
        ValueError: If the golden outputs are damaged or have other shapes.
    """
    file = folder / GOLDEN
    if not file.is_file():
        return None

    # read
    try:
        check_archive(file)
        with np.load(file, allow_pickle=False) as stored:
            golden = {name: torch.from_numpy(stored[name]).float() for name in stored.files}
    except Exception as error:  # NumPy and zipfile raise nearly anything on damaged files
        msg = f"{file} is damaged ({error}); get it again, or record it anew"
        raise ValueError(msg) from error

    # compare shapes, then values
    if _shapes(golden) != _shapes(outputs):
        msg = f"{file}: its outputs have other shapes than the model's; it may be another model's"
        raise ValueError(msg)
    errors = []
    for name, expected in golden.items():
        scale = expected.abs().max().clamp(min=1e-6)
        errors.append((outputs[name] - expected).abs().max() / scale)
    return float(torch.stack(errors).max())


def _shapes(outputs: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    """Return the shape of each output."""
    return {name: value.shape for name, value in outputs.items()}
