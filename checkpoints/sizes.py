"""Sizes in the settings of other libraries' networks, bounded before anything is built of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.records import read_json

FOREIGN = ("model_type", "architectures", "_class_name")
"""What settings of transformers and diffusers have; this project's own classes bound theirs."""

LARGEST = 2**24
"""No setting of a network is larger: widths, vocabularies, positions."""

MOST = {
    "layers_per_block": 64,
    "transformer_layers_per_block": 64,
    "reverse_transformer_layers_per_block": 64,
    "num_hidden_layers": 256,
    "num_layers": 256,
    "sample_size": 4096,
    "image_size": 4096,
}
"""What tells how often something is repeated, or the side of an image."""

LONGEST = 1024
"""Entries of a list of sizes."""


def check_sizes(folder: Path) -> None:
    """Refuse a network's ``config.json``, or those of a pipeline's parts, with sizes that none has.

    Args:
        folder: Of a network or a pipeline.

    Raises:
        ValueError: If one is; the message names file, setting and size.
    """
    for file in sorted([*folder.glob("config.json"), *folder.glob("*/config.json")]):
        config = read_json(file, dict[str, Any], "get the model again")
        if not any(name in config for name in FOREIGN):
            continue
        for name, size in _sizes("", config):
            most = MOST.get(name, LARGEST)
            if size > most:
                msg = f"{file}: {name} is {size}, {most} is the most of any network; get it again"
                raise ValueError(msg)


def _sizes(name: str, value: Any) -> Iterator[tuple[str, int]]:
    """Name and size of every whole number in nested settings; the length of a list is one."""
    if isinstance(value, int) and not isinstance(value, bool):
        yield name, value
    elif isinstance(value, dict):
        for inner, content in value.items():
            yield from _sizes(inner, content)
    elif isinstance(value, list):
        if len(value) > LONGEST:
            yield name, LARGEST + len(value)
        for content in value:
            yield from _sizes(name, content)
