"""Records beside the images of shards: what ``python -m datamodules shard`` knows of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.records import parse_json
from images.archives import index_tar

NUMBERS = ("label", "width", "height")
"""Entries of every record that are whole numbers."""


def read_facts(shard: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read key and record of every sample of a shard.

    Raises:
        ValueError: If a record is damaged, or none of this project's; the message names shard and sample.
    """
    for member in index_tar(shard):
        if member.name.endswith(".json"):
            place = f"{shard}, {member.name}"
            record = parse_json(member.read(), dict[str, Any], place, "write the shards again")
            if lacking := next(
                (name for name in NUMBERS if type(record.get(name)) is not int), None
            ):
                msg = f"{place}: no record of ours ({lacking} is not a number); write the shards with python -m datamodules shard"
                raise ValueError(msg)
            yield member.name.removesuffix(".json"), record
