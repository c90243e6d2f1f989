"""Index files beside shards, ``SPLIT-SUBSET.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

import msgspec

from engine.records import parse_json
from images.sources import open_path

MAX_INDEX_BYTES = 256 << 20
"""Largest part of an index that is read."""


@dataclass(frozen=True)
class IndexedShard:
    """Entry of an index: a shard's file name and number of samples."""

    name: str
    samples: int


@dataclass(frozen=True)
class ShardIndex:
    """Index of a subset, written by ``python -m datamodules shard``."""

    shards: list[IndexedShard]


def index_stem(shard: PurePosixPath) -> str:
    """Return the index's file name, without ``.json``, for a shard ``STEM-NNNNNN.tar``."""
    return shard.stem.rpartition("-")[0]


def missing_shard(system: Any, pattern: str, names: Sequence[str]) -> str | None:
    """Find the first indexed shard that a pattern should match, but is missing.

    Args:
        system: File system (fsspec) of the shards.
        pattern: Path with ``*``.
        names: Paths that match the pattern.

    Raises:
        ValueError: If an index of the matched shards is damaged.
    """
    existing = set(names)
    stems = {index_stem(PurePosixPath(name)) for name in names}
    folders = dict.fromkeys(str(PurePosixPath(name).parent) for name in names)
    prefix = PurePosixPath(pattern).name.partition("*")[0]
    for folder in folders:
        for file in sorted(system.glob(f"{folder}/*.json")):
            # indices of subsets that the pattern cannot match do not count
            stem = PurePosixPath(file).stem
            if not stem.startswith(prefix) and not prefix.startswith(stem):
                continue
            index = read_index(system, file, file, required=stem in stems)
            for entry in index.shards if index else []:
                shard = f"{folder}/{entry.name}"
                if shard not in existing and fnmatchcase(shard, pattern):
                    return shard
    return None


def read_index(system: Any, path: str, name: str, required: bool) -> ShardIndex | None:
    """Read an index.

    Args:
        system: File system (fsspec) of the file.
        path: Path of the file in it.
        name: Name of the file in error messages.
        required: Refuse another JSON file, instead of returning None for it.

    Raises:
        ValueError: If a required index, or a file that looks like one, is damaged.
    """
    with open_path(system, path, name) as stream:
        content = stream.read(MAX_INDEX_BYTES)
    remedy = "write the shards again, or get the index again"
    try:
        value = parse_json(content, dict[str, Any], name, remedy)
        if "shards" not in value and not required:
            return None
        return msgspec.convert(value, ShardIndex)
    except (ValueError, msgspec.ValidationError) as error:
        if required or b'"shards"' in content:
            msg = f"{name}: not an index of shards, or damaged ({error})"
            raise ValueError(msg) from error
        return None
