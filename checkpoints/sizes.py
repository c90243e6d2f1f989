"""Sizes in strangers' settings, bounded before anything is built of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.records import read_json

LARGEST = 2**20
"""No setting of a network in a pipeline is larger: widths, vocabularies, positions."""

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

LONGEST = 256
"""Entries of a list of sizes."""


def check_sizes(folder: Path) -> None:
    """Refuse a network's ``config.json``, or those of a pipeline's parts, with sizes that none has.

    Args:
        folder: Of a network or a pipeline.

    Raises:
        ValueError: If one is; the message names file, setting and size.
    """
    for file in sorted([*folder.glob("config.json"), *folder.glob("*/config.json")]):
        for name, value in read_json(file, dict[str, Any], "get the model again").items():
            for size in _numbers(value):
                if size > MOST.get(name, LARGEST):
                    msg = f"{file}: {name} is {size:g}, and {MOST.get(name, LARGEST)} is the most that any network has; get the model again"
                    raise ValueError(msg)


def _numbers(value: Any) -> Iterator[float]:
    """In a setting or a list of it, to any depth that a network has; the length of a list counts, too."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield value
    elif isinstance(value, list):
        if len(value) > LONGEST:
            yield float("inf")
        for inner in value[:LONGEST]:
            yield from _numbers(inner)
