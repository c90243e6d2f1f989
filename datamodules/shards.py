"""Local and remote WebDataset shards: finding them and reading coded samples."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import fsspec
from braceexpand import braceexpand
from torch import Tensor

from datamodules.features import ENDING as FEATURES
from datamodules.features import describe_features, read_features
from datamodules.shard_index import index_stem, missing_shard, read_index
from engine.files import file_digest
from images.archives import index_tar, read_tar
from images.formats import unsupported_reason
from images.samples import RECORD, Sample, several_images_message, stream_samples
from images.sources import open_url


@dataclass(frozen=True)
class ShardSource:
    """Shards of one kind, with a sampling weight.

    Attributes:
        urls: Path or URL, with ``*`` or ``{000..123}``, such as ``SHARDS/train-SDv15R-*.tar`` or
            ``hf://datasets/OWNER/NAME/x-{00..09}.tar``.
        weight: Sampling weight, above 0, relative to the other sources of its class.

    Raises:
        ValueError: If the weight is not above 0.
    """

    urls: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.weight <= 0:
            msg = f"the weight of {self.urls} must be above 0, got {self.weight}"
            raise ValueError(msg)


@dataclass(frozen=True)
class ShardSample:
    """Coded sample of a shard.

    Attributes:
        url: URL of the shard.
        key: Key of the sample in the shard.
        record: JSON text of the sample's record; None if there is none.
        image: Bytes of the image file; None if there is none, or several.
        fault: Reason why there is no image; empty if there is one.
        features: Features, (V, D), of V views, in a shard of features.
    """

    url: str
    key: str
    record: bytes | None = None
    image: bytes | None = None
    fault: str = ""
    features: Tensor | None = None

    @property
    def name(self) -> str:
        """Shard and key, for messages."""
        return f"{self.url}, {self.key}"


@dataclass(frozen=True)
class StoredShard:
    """File of a shard, with size, time and SHA-256.

    A remote shard has a size alone.
    """

    url: str

    @cached_property
    def local(self) -> Path | None:
        """Path of a local shard; None for a remote one."""
        return _local_path(self.url)

    @cached_property
    def size(self) -> int:
        """Size in bytes."""
        system, path = fsspec.url_to_fs(self.url)
        return int(system.size(path) or 0)

    @cached_property
    def mtime_ns(self) -> int:
        """Modification time in nanoseconds; 0 for a remote shard."""
        return 0 if self.local is None else self.local.stat().st_mtime_ns

    @cached_property
    def sha256(self) -> str:
        """SHA-256 in hexadecimal; empty for a remote shard."""
        return "" if self.local is None else file_digest(self.local)


def find_shards(urls: str) -> list[str]:
    """List the URLs of all shards that a pattern names, in order.

    Args:
        urls: Path or URL, with ``*`` or ``{000..123}``.

    Raises:
        FileNotFoundError: If there are none, if one named by braces is missing, or if an index
            beside those matched by ``*`` lists one that is missing.
    """
    return [shard for pattern in braceexpand(urls) for shard in _expand(pattern)]


def local_shards(patterns: Sequence[str]) -> list[Path]:
    """List the paths of the local shards that patterns name.

    Raises:
        FileNotFoundError: As :func:`find_shards`.
    """
    shards = [shard for pattern in patterns for shard in find_shards(pattern)]
    return [Path(shard.removeprefix("file://")) for shard in shards]


def read_shards(shards: Iterable[str]) -> Iterator[ShardSample]:
    """Yield the coded samples of shards, one shard after another.

    Raises:
        ValueError: If a shard is damaged; after its undamaged samples.
    """
    for shard in shards:
        if shard.endswith(FEATURES):
            for record, features in read_features(shard):
                text = json.dumps(record).encode()
                yield ShardSample(shard, record["key"], text, features=features)
        else:
            yield from _read_tar_shard(shard)


def _read_tar_shard(shard: str) -> Iterator[ShardSample]:
    """Yield the coded samples of a tar shard."""
    is_local = _local_path(shard) is not None
    with open_url(shard) as stream:
        members = read_tar(stream, shard.removeprefix("file://"), seekable=is_local)
        for sample in stream_samples(members):
            yield _coded_sample(shard, sample)


def count_samples(shard: str) -> int:
    """Count a shard's samples.

    The count is read from the index beside the shard, or from a local shard itself.

    Raises:
        ValueError: If the shard is remote and has no index.
    """
    if shard.endswith(FEATURES):
        return describe_features(shard)[0]
    # the index beside the shard
    location = PurePosixPath(shard.partition("://")[2] or shard)
    url = f"{shard[: -len(location.name)]}{index_stem(location)}.json"
    system, path = fsspec.url_to_fs(url)
    index = read_index(system, path, url, required=True) if system.exists(path) else None
    counts = {entry.name: entry.samples for entry in index.shards} if index else {}
    if location.name in counts:
        return counts[location.name]
    # no index: count, if the shard is local
    if _local_path(shard) is not None:
        return sum(1 for _ in stream_samples(index_tar(Path(location))))
    msg = (
        f"{shard}: no index {url} with its number of samples; "
        "write shards with python -m datamodules shard, or copy it here"
    )
    raise ValueError(msg)


def refuse_empty(urls: str, shards: Iterable[str]) -> None:
    """Refuse shards without samples.

    An endless stream would search them for ever. Remote shards without an index are assumed to have
    samples.

    Raises:
        ValueError: If no shard has samples.
    """
    for shard in shards:
        try:
            if count_samples(shard):
                return
        except ValueError:
            if _local_path(shard) is None:
                return
            raise
    msg = (
        f"{urls}: no samples in these shards; name others, "
        "or write them again with python -m datamodules shard"
    )
    raise ValueError(msg)


def _local_path(url: str) -> Path | None:
    """Return the path of a local shard; None for a remote one."""
    path = url.removeprefix("file://")
    return None if "://" in path else Path(path)


def _expand(pattern: str) -> list[str]:
    """List the shards of a pattern without braces.

    Raises:
        FileNotFoundError: If there are none, or one that an index lists is missing.
    """
    system, path = fsspec.url_to_fs(pattern)
    if "*" in pattern:
        names = sorted(system.glob(path))
        if missing := missing_shard(system, path, names):
            msg = (
                f"{missing}: listed in the index beside it, but not there; "
                "get it, or write the shards again"
            )
            raise FileNotFoundError(msg)
    elif _local_path(pattern) is None:
        names = [path]
    elif system.isdir(path):
        msg = f"{pattern}: a folder; name the shards in it, such as {pattern.rstrip('/')}/*.tar"
        raise FileNotFoundError(msg)
    else:
        names = [path] if system.exists(path) else []
    if not names:
        msg = (
            f"no shards at {pattern}: create them with python -m datamodules shard, or fix the path"
        )
        raise FileNotFoundError(msg)
    return [system.unstrip_protocol(name) for name in names]


def _coded_sample(shard: str, sample: Sample) -> ShardSample:
    """Read a sample's record and its image file, or a fault."""
    entry = sample.content(RECORD.removeprefix("."))
    record = None if entry is None or entry.fault else entry.read()
    if not sample.images:
        fault = "no image in this sample"
    elif len(sample.images) > 1:
        fault = several_images_message(sample)
    else:
        fault = sample.image.fault or unsupported_reason(sample.image.name)
    image = None if fault else sample.image.read()
    return ShardSample(shard, sample.key, record, image, fault)
