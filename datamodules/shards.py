"""Shards, here or elsewhere: which there are, which are missing, and their samples as they are coded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import msgspec
from braceexpand import braceexpand
from fsspec.implementations.local import LocalFileSystem
from torch import Tensor

from datamodules.features import ENDING as FEATURES
from datamodules.features import describe_features, read_features
from engine.files import file_digest, naming_errors, refuse_special
from engine.records import parse_json
from images.archives import index_tar, read_tar
from images.formats import unsupported_reason
from images.samples import RECORD, Sample, several_images_message, stream_samples

LARGEST_INDEX = 256 << 20
"""Bytes of an index that is read."""


@dataclass(frozen=True)
class ShardSource:
    """Shards of one kind.

    Attributes:
        urls: Path or URL, with ``*`` or ``{000..123}``, such as ``SHARDS/train-SDv15R-*.tar`` or ``hf://datasets/OWNER/NAME/x-{00..09}.tar``.
        weight: Its share among the sources of its class, relative to theirs.
    """

    urls: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.weight <= 0:
            msg = f"the weight of {self.urls} must be above 0, got {self.weight}"
            raise ValueError(msg)


@dataclass(frozen=True)
class ShardSample:
    """A sample as it lies in a shard.

    Attributes:
        url: The shard.
        key: Its key there.
        record: The JSON text of what is known of it; None if there is none.
        image: The image file; None if there is none, or none that is meant.
        fault: Why there is no image; empty if there is one.
        features: Of a shard of features: (V, D), of V views.
    """

    url: str
    key: str
    record: bytes | None = None
    image: bytes | None = None
    fault: str = ""
    features: Tensor | None = None

    @property
    def name(self) -> str:
        """Where it is, for messages."""
        return f"{self.url}, {self.key}"


@dataclass(frozen=True)
class StoredShard:
    """A shard's file, known by size, time and sha256; one that is elsewhere by its size alone."""

    url: str

    @cached_property
    def local(self) -> Path | None:
        """Where it is on this machine; None if it is elsewhere."""
        path = self.url.removeprefix("file://")
        return None if "://" in path else Path(path)

    @cached_property
    def size(self) -> int:
        """Bytes."""
        system, path = fsspec.url_to_fs(self.url)
        return int(system.size(path) or 0)

    @cached_property
    def mtime_ns(self) -> int:
        """When it was last written."""
        return 0 if self.local is None else self.local.stat().st_mtime_ns

    @cached_property
    def sha256(self) -> str:
        """Hexadecimal sha256."""
        return "" if self.local is None else file_digest(self.local)


@dataclass(frozen=True)
class IndexedShard:
    """A shard as an index lists it."""

    name: str
    samples: int


@dataclass(frozen=True)
class ShardIndex:
    """``SPLIT-SUBSET.json`` beside shards: which there are, as ``python -m datamodules shard`` writes it."""

    shards: list[IndexedShard]


def find_shards(urls: str) -> list[str]:
    """Every shard that a pattern names, in order, as URLs.

    Args:
        urls: Path or URL, with ``*`` or ``{000..123}``.

    Raises:
        FileNotFoundError: If there is none, one that braces name is missing, or an index beside those that ``*`` finds
            lists one that is not there.
    """
    return [shard for pattern in braceexpand(urls) for shard in _named(pattern)]


def local_shards(patterns: Sequence[str]) -> list[Path]:
    """The shards of several patterns, all of which are here; errors as in :func:`find_shards`."""
    return [
        Path(shard.removeprefix("file://"))
        for pattern in patterns
        for shard in find_shards(pattern)
    ]


def read_shards(shards: Iterable[str]) -> Iterator[ShardSample]:
    """The samples of shards, one after another.

    Raises:
        ValueError: If a shard is damaged; after the samples that are whole.
    """
    for shard in shards:
        if shard.endswith(FEATURES):
            for record, features in read_features(shard):
                yield ShardSample(
                    shard, record["key"], json.dumps(record).encode(), features=features
                )
        else:
            local = shard.startswith("file://") or "://" not in shard
            if local:
                refuse_special(Path(shard.removeprefix("file://")))
            with fsspec.open(shard, "rb") as stream:
                for sample in stream_samples(
                    read_tar(stream, shard.removeprefix("file://"), seekable=local)
                ):
                    yield _coded(shard, sample)


def count_samples(shard: str) -> int:
    """How many samples a shard has, from the index beside it, or by reading it if it is here.

    Raises:
        ValueError: If it is elsewhere and has no index.
    """
    if shard.endswith(FEATURES):
        return describe_features(shard)[0]
    place = PurePosixPath(shard.partition("://")[2] or shard)
    url = f"{shard[: -len(place.name)]}{place.stem.rpartition('-')[0]}.json"
    system, path = fsspec.url_to_fs(url)
    index = _read_index(system, path, url, must=True) if system.exists(path) else None
    counts = {entry.name: entry.samples for entry in index.shards} if index else {}
    if place.name in counts:
        return counts[place.name]
    if shard.startswith("file://") or "://" not in shard:
        return sum(1 for _ in stream_samples(index_tar(Path(place))))
    msg = f"{shard}: no index {url} that says how many samples it has; write shards with python -m datamodules shard, or copy it here"
    raise ValueError(msg)


def refuse_empty(urls: str, shards: Iterable[str]) -> None:
    """Refuse shards without a single sample, which a stream would search for ever.

    Raises:
        ValueError: If there is none in all of them; shards elsewhere without an index are taken to have some.
    """
    for shard in shards:
        try:
            if count_samples(shard):
                return
        except ValueError:
            if "://" in shard and not shard.startswith("file://"):
                return
            raise
    msg = f"{urls}: no samples in these shards; name others, or write them again with python -m datamodules shard"
    raise ValueError(msg)


def _named(pattern: str) -> list[str]:
    """The shards of a pattern without braces."""
    system, path = fsspec.url_to_fs(pattern)
    if "*" in pattern:
        names = sorted(system.glob(path))
        if missing := _missing(system, path, names):
            msg = f"{missing}: listed in the index beside it, but not there; get it, or write the shards again"
            raise FileNotFoundError(msg)
    elif "://" in pattern and not pattern.startswith("file://"):
        names = [path]
    elif system.isdir(path):
        msg = f"{pattern}: a folder; name the shards in it, such as {pattern.rstrip('/')}/*.tar"
        raise FileNotFoundError(msg)
    else:
        names = [path] if system.exists(path) else []
    if not names:
        msg = (
            f"no shards at {pattern}: write them with python -m datamodules shard, or mend the path"
        )
        raise FileNotFoundError(msg)
    return [system.unstrip_protocol(name) for name in names]


def _missing(system: Any, pattern: str, names: Sequence[str]) -> str | None:
    """The first shard of the pattern that an index lists and that is not among those found."""
    there = set(names)
    start = PurePosixPath(pattern).name.partition("*")[0]
    for folder in dict.fromkeys(str(PurePosixPath(name).parent) for name in names):
        own = {PurePosixPath(name).stem.rpartition("-")[0] for name in names}
        for file in sorted(system.glob(f"{folder}/*.json")):
            stem = PurePosixPath(file).stem
            if not stem.startswith(start) and not start.startswith(stem):
                continue
            index = _read_index(system, file, file, must=stem in own)
            for entry in index.shards if index else []:
                shard = f"{folder}/{entry.name}"
                if shard not in there and fnmatchcase(shard, pattern):
                    return shard
    return None


def _read_index(system: Any, path: str, name: str, must: bool) -> ShardIndex | None:
    """An index; None for another JSON file, unless it must be one.

    Raises:
        ValueError: If it must be one and is damaged.
    """
    if isinstance(system, LocalFileSystem):
        refuse_special(Path(path))
    with naming_errors(name), system.open(path, "rb") as stream:
        content = stream.read(LARGEST_INDEX)
    try:
        value = parse_json(
            content, dict[str, Any], name, "write the shards again, or get the index again"
        )
        return None if "shards" not in value and not must else msgspec.convert(value, ShardIndex)
    except (ValueError, msgspec.ValidationError) as error:
        if must or b'"shards"' in content:
            msg = f"{name}: not an index of shards, or damaged ({error})"
            raise ValueError(msg) from error
        return None


def _coded(shard: str, sample: Sample) -> ShardSample:
    record = sample.content(RECORD.removeprefix("."))
    known = None if record is None or record.fault else record.read()
    fault = "no image in this sample" if not sample.images else ""
    if len(sample.images) > 1:
        fault = several_images_message(sample)
    elif sample.images:
        fault = sample.image.fault or unsupported_reason(sample.image.name)
    image = None if fault else sample.image.read()
    return ShardSample(shard, sample.key, known, image, fault)
