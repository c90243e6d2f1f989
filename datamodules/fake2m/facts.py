"""Records of shard samples, as ``python -m datamodules shard`` writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.records import parse_json
from images.archives import index_tar

INTEGER_FIELDS = ("label", "width", "height")
"""Entries of every record that are whole numbers."""


def read_facts(shard: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield key and record of every sample of a shard.

    Raises:
        ValueError: If a record is damaged or has another format; the message names shard and
            sample.
    """
    for member in index_tar(shard):
        if not member.name.endswith(".json"):
            continue
        name = f"{shard}, {member.name}"
        record = parse_json(member.read(), dict[str, Any], name, "write the shards again")
        for field in INTEGER_FIELDS:
            if type(record.get(field)) is not int:
                msg = (
                    f"{name}: no record of this project ({field} is not a number); "
                    "write the shards with python -m datamodules shard"
                )
                raise ValueError(msg)
        yield member.name.removesuffix(".json"), record
