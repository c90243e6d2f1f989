"""Strict comparison of a weight file with a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn


def first_mismatch(
    kind: str, expected: Mapping[str, tuple[int, ...]], weights: Mapping[str, Tensor]
) -> str:
    """Describe the first error in the entries of a weight file; empty if there is none.

    Args:
        kind: Class name of the network, for the message.
        expected: Shape of every entry of the network.
        weights: Entries of the file.
    """
    if weights and all(key.startswith("module.") for key in weights):
        return (
            "every entry starts with 'module.', the prefix of a wrapped training copy; "
            f"export the bare {kind} instead"
        )
    if missing := sorted(set(expected) - set(weights)):
        return (
            f"{len(missing)} of {len(expected)} entries are missing, "
            f"the first is {missing[0]}; get the whole file"
        )
    if extra := sorted(set(weights) - set(expected)):
        count = "1 entry does" if len(extra) == 1 else f"{len(extra)} entries do"
        return f"{count} not belong to a {kind}, the first is {extra[0]}"
    for key, shape in expected.items():
        if tuple(weights[key].shape) != tuple(shape):
            return f"{key} has shape {tuple(weights[key].shape)}, expected {tuple(shape)}"
        if not weights[key].isfinite().all():
            return f"{key} holds values that are not finite; use an earlier checkpoint"
    return ""


def load_strictly(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    source: Path,
    dtype: torch.dtype | None = None,
) -> None:
    """Load weights into a network that has exactly these entries.

    Args:
        model: The network; its parameters may be on the meta device.
        weights: Entries of the weight file.
        source: The file or folder, for the message.
        dtype: Data type of floating-point weights; None for that of the network.

    Raises:
        ValueError: If an entry is missing, unknown, of another shape, or not finite.
    """
    expected = model.state_dict()
    shapes = {key: tuple(value.shape) for key, value in expected.items()}
    if mismatch := first_mismatch(type(model).__name__, shapes, weights):
        msg = f"{source}: {mismatch}"
        raise ValueError(msg)
    converted = {}
    for key, value in weights.items():
        is_float = expected[key].is_floating_point()
        converted[key] = value.to(dtype if dtype and is_float else expected[key].dtype)
    model.load_state_dict(converted, assign=True)


def first_not_finite(weights: Mapping[str, Tensor]) -> str:
    """Return the name of the first tensor with an infinite value or NaN; empty if there is none."""
    for name, value in weights.items():
        if value.is_floating_point() and not value.isfinite().all():
            return name
    return ""
