"""Shards of one subset and their index."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from datamodules.fake2m.facts import read_facts
from datamodules.fake2m.origin import Origin
from engine.files import file_digest, remove_partials_of, write_bytes
from images.shard_writer import ShardWriter

MAX_NAMES = 200
"""Number of file names that an index lists for each reason; counts cover all files."""

MAX_VALUES = 50
"""Number of values that an index counts for each property: the most frequent ones."""


@dataclass(frozen=True)
class Limits:
    """Size limits of a shard.

    Attributes:
        samples: Most images in a shard, at least 1.
        megabytes: Size of its image files that closes a shard, at least 1.

    Raises:
        ValueError: If a limit is below 1.
    """

    samples: int = 5000
    megabytes: int = 400

    def __post_init__(self) -> None:
        if min(self.samples, self.megabytes) < 1:
            msg = (
                "a shard holds at least 1 image and 1 megabyte, "
                f"got {self.samples} and {self.megabytes}"
            )
            raise ValueError(msg)


class SubsetWriter:
    """Writer of one subset's shards, ``SPLIT-SUBSET-NNNNNN.tar``.

    Args:
        folder: Folder of the shards; finished ones in it are kept.
        origin: Origin of the images.
        limits: Size limits of a shard.
    """

    def __init__(self, folder: Path, origin: Origin, limits: Limits) -> None:
        self.folder = folder
        self.origin = origin
        self.limits = limits
        # images of finished shards, by path in the source and by key
        self.finished = finished_shards(folder, origin.stem)
        self.done: set[str] = set()
        self.keys: set[str] = set()
        for shard in self.finished:
            for key, record in read_facts(shard):
                self.done.add(record["source_path"])
                self.keys.add(key)
        # the shard being written
        self.shard: ShardWriter | None = None
        self.count = 0
        self.size = 0

    def add(self, path: str, suffix: str, content: bytes, record: dict[str, Any]) -> None:
        """Add an image.

        Args:
            path: Path of the image in its source.
            suffix: Suffix of the file, without a dot.
            content: Bytes of the file.
            record: Record to store beside it.
        """
        key = free_key(path, self.keys)
        self.keys.add(key)
        if self.shard is None:
            name = f"{self.origin.stem}-{len(self.finished):06d}.tar"
            self.shard = ShardWriter(self.folder / name)
            self.count = 0
            self.size = 0
        self.shard.add(f"{key}.{suffix}", content)
        self.shard.add(f"{key}.json", json.dumps(record).encode())
        self.count += 1
        self.size += len(content)
        if self.count >= self.limits.samples or self.size >= self.limits.megabytes << 20:
            self.close()

    def close(self) -> None:
        """Finish the current shard, if any."""
        if self.shard is not None:
            self.shard.close()
            self.finished.append(self.shard.target)
            self.shard = None

    def abandon(self) -> None:
        """Delete the unfinished shard, if any; the next run starts it again."""
        if self.shard is not None:
            self.shard.abandon()
            self.shard = None


@dataclass
class LeftOutFiles:
    """Files of a source that did not become samples, by reason."""

    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, name: str) -> None:
        """Count a file, and keep its name while there is room."""
        self.counts[reason] += 1
        if self.counts[reason] <= MAX_NAMES:
            self.names.setdefault(reason, []).append(name)


def free_key(path: str, taken: set[str]) -> str:
    """Choose an unused sample key for an image.

    The key is the path without its suffix. Dots in the file name become ``_``, since WebDataset
    cuts names at the first dot. A taken key gets a number.
    """
    location = PurePosixPath(path)
    key = str(location.with_name(location.stem.replace(".", "_") or "_"))
    name = key
    number = 2
    while name in taken:
        name = f"{key}-{number}"
        number += 1
    return name


def finished_shards(folder: Path, stem: str) -> list[Path]:
    """List a subset's shards, in order."""
    shards = [path for path in folder.glob(f"{stem}-*.tar") if path.stem[len(stem) + 1 :].isdigit()]
    return sorted(shards)


def index_shards(
    folder: Path, origin: Origin, left_out: LeftOutFiles | None = None
) -> dict[str, Any]:
    """Write a subset's index, ``SPLIT-SUBSET.json``.

    It holds the shards with counts and hashes, value counts of the records, and the files left out.

    Args:
        folder: Folder of the shards.
        origin: Origin of the images.
        left_out: Files of the source that did not become samples.

    Returns:
        The index.
    """
    left_out = left_out or LeftOutFiles()
    shards: list[dict[str, Any]] = []
    names = ("label", "codec", "size", "generator")
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    for path in finished_shards(folder, origin.stem):
        records = [record for _, record in read_facts(path)]
        for record in records:
            values = record | {"size": f"{record['width']}x{record['height']}"}
            for name, counter in counts.items():
                counter[str(values[name])] += 1
        entry = {
            "name": path.name,
            "samples": len(records),
            "bytes": path.stat().st_size,
            "sha256": file_digest(path),
        }
        shards.append(entry)
    index = {
        "origin": origin.record(),
        "samples": sum(shard["samples"] for shard in shards),
        "shards": shards,
        "counts": {name: dict(counter.most_common(MAX_VALUES)) for name, counter in counts.items()},
        "left_out": dict(left_out.counts),
        "left_out_names": left_out.names,
    }
    file = folder / f"{origin.stem}.json"
    remove_partials_of([file])
    write_bytes(file, json.dumps(index, indent=2).encode() + b"\n")
    return index
