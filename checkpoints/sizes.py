"""Size limits for the settings of other libraries' networks, checked before building them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.records import read_json

FOREIGN_KEYS = ("model_type", "architectures", "_class_name")
"""Keys in the settings of transformers and diffusers; this project's classes check their own."""

MAX_SIZE = 2**24
"""Largest width, vocabulary or number of positions in a network's settings."""

MAX_BY_NAME = {
    "layers_per_block": 64,
    "transformer_layers_per_block": 64,
    "reverse_transformer_layers_per_block": 64,
    "num_hidden_layers": 256,
    "num_layers": 256,
    "sample_size": 4096,
    "image_size": 4096,
}
"""Largest numbers of repeated layers, and largest image sides, by the name of the setting."""

MAX_LIST_LENGTH = 1024
"""Largest number of entries of a list of sizes."""


def check_sizes(folder: Path) -> None:
    """Refuse a ``config.json`` of a network or of a pipeline's parts with excessive sizes.

    Args:
        folder: Folder of a network or a pipeline.

    Raises:
        ValueError: If a size exceeds its limit; the message names file, setting and size.
    """
    for file in sorted([*folder.glob("config.json"), *folder.glob("*/config.json")]):
        config = read_json(file, dict[str, Any], "get the model again")
        if not any(name in config for name in FOREIGN_KEYS):
            continue
        for name, size in _sizes("", config):
            limit = MAX_BY_NAME.get(name, MAX_SIZE)
            if size > limit:
                msg = f"{file}: {name} is {size}, at most {limit} is allowed; get it again"
                raise ValueError(msg)


def _sizes(name: str, value: Any) -> Iterator[tuple[str, int]]:
    """Yield the name and value of every integer in nested settings.

    A list that is too long yields a value above every limit.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        yield name, value
    elif isinstance(value, dict):
        for inner, content in value.items():
            yield from _sizes(inner, content)
    elif isinstance(value, list):
        if len(value) > MAX_LIST_LENGTH:
            yield name, MAX_SIZE + len(value)
        for content in value:
            yield from _sizes(name, content)
