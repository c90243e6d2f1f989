"""Building a network from a stranger's settings, within the size of the weights beside them."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
from torch import Tensor, nn

SPARE_ENTRIES, SPARE_NUMBERS = 64, 2**24
"""Parameters, and numbers in one, that a constructor may make and drop beyond those in the file."""


@contextmanager
def shapes_only(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Make parameters built in the block shapes without values, no more than a file could fill.

    Buffers have their values: those that no file holds are only there.

    Args:
        weights: What the file holds.

    Raises:
        ValueError: In the block, when it makes many more, or far larger, parameters than the file.
    """
    register = nn.Module.register_parameter
    entries = 2 * len(weights) + SPARE_ENTRIES
    numbers = 4 * sum(value.numel() for value in weights.values()) + SPARE_NUMBERS
    made = 0

    def register_shape(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal made
        if parameter is not None:
            made += 1
            if made > entries or parameter.numel() > numbers:
                msg = f"far larger than the {len(weights)} entries of its weight file make it"
                raise ValueError(msg)
            shape = parameter.detach().to("meta")
            parameter = nn.Parameter(shape, requires_grad=parameter.requires_grad)
        register(module, name, parameter)

    nn.Module.register_parameter = register_shape  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


def check_types(kind: type, config: Mapping[str, Any]) -> None:
    """Compare settings with the types of a class's arguments.

    Raises:
        ValueError: If one is of another type; the message names it.
    """
    hints = typing.get_type_hints(kind.__init__)  # type: ignore[misc]
    for name, value in config.items():
        if name in hints:
            try:
                msgspec.convert(value, hints[name])
            except msgspec.ValidationError as error:
                msg = f"{name}: {error}"
                raise ValueError(msg) from error
