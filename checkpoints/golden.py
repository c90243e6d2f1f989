"""Answers to compare with: what a model said to fixed inputs where it was made, kept beside its weights."""

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

TOLERATED = 1e-3
"""Largest difference, in shares of the largest answer: machines add up in different orders."""

Answers = dict[str, Tensor]


class Exercised(Protocol):
    """A network that says what it can be asked."""

    def example_inputs(self) -> Tensor | tuple[Tensor, ...]: ...


@torch.no_grad()
def answers(model: Exercised) -> Answers:
    """Ask a model its example inputs, in float32 on the CPU; yes-or-no answers are left out, as they may hang by a hair."""
    inputs = model.example_inputs()
    network = cast(nn.Module, model)
    found = network.cpu().float().eval()(*(inputs if isinstance(inputs, tuple) else (inputs,)))
    parts = found if isinstance(found, list | tuple) else [found]
    return {
        f"answer.{index}": part.float().contiguous()
        for index, part in enumerate(parts)
        if part.is_floating_point()
    }


def save_answers(folder: Path, found: Answers) -> None:
    """Keep answers beside the weights, whole or not at all."""
    with atomic_write(folder / GOLDEN) as partial, partial.open("wb") as stream:
        np.savez(stream, **{name: value.numpy() for name, value in found.items()})  # type: ignore[arg-type]


def difference(folder: Path, found: Mapping[str, Tensor]) -> float | None:
    """Compare answers with those kept beside the weights, in shares of the largest; None if none are kept.

    Raises:
        ValueError: If those kept are damaged, or of other shapes.
    """
    file = folder / GOLDEN
    if not file.is_file():
        return None
    try:
        check_archive(file)
        with np.load(file, allow_pickle=False) as stored:
            kept = {name: torch.from_numpy(stored[name]).float() for name in stored.files}
    except Exception as error:  # NumPy and zipfile raise nearly anything on damaged files
        msg = f"{file} is damaged ({error}); get it again, or record it anew"
        raise ValueError(msg) from error
    if {name: value.shape for name, value in kept.items()} != {
        name: value.shape for name, value in found.items()
    }:
        msg = f"{file}: its answers are of other shapes than the model's; is it another model's?"
        raise ValueError(msg)
    shares = [
        (found[name] - kept[name]).abs().max() / kept[name].abs().max().clamp(min=1e-6)
        for name in kept
    ]
    return float(torch.stack(shares).max())  # not a number where any is none
