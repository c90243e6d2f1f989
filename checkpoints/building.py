"""Networks built from untrusted settings, limited to the size of their weight file."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
from torch import Tensor, nn

SPARE_PARAMETERS = 64
"""Number of parameters that a constructor may create beyond those in the file."""

SPARE_VALUES = 2**24
"""Number of values in a parameter beyond those in the file."""


@contextmanager
def shapes_only(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Create parameters on the meta device in a block, limited by the size of a weight file.

    Buffers keep their values, as files do not store all of them.

    Args:
        weights: Entries of the file.

    Raises:
        ValueError: If the block creates many more, or far larger, parameters than the file has.
    """
    register = nn.Module.register_parameter
    max_parameters = 2 * len(weights) + SPARE_PARAMETERS
    max_values = 4 * sum(value.numel() for value in weights.values()) + SPARE_VALUES
    count = 0

    def register_shape(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal count
        if parameter is not None:
            count += 1
            if count > max_parameters or parameter.numel() > max_values:
                msg = f"far larger than the {len(weights)} entries of its weight file"
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
    """Compare settings with the type hints of a class's constructor.

    Raises:
        ValueError: If a setting has another type; the message names it.
    """
    hints = typing.get_type_hints(kind.__init__)  # type: ignore[misc]
    for name, value in config.items():
        if name in hints:
            try:
                msgspec.convert(value, hints[name])
            except msgspec.ValidationError as error:
                msg = f"{name}: {error}"
                raise ValueError(msg) from error
