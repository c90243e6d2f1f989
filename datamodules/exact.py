"""Reading every sample of shards exactly once, in threads or loader processes."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from datamodules.features import ENDING as FEATURES
from datamodules.features import describe_features
from datamodules.shards import ShardSample, count_samples, find_shards, read_shards
from datamodules.streams import decode_sample, loader_worker
from engine.ordered import map_ahead
from images.kinds import UnreadableImage
from images.transforms import Edit
from images.transforms.crops import Crops
from images.transforms.views import View

PADDING = -1
"""Label of samples that give all processes the same number of batches."""

DECODE_AHEAD_BYTES = 256 << 20
"""Size of the coded images that are decoded ahead of time."""


def read_exactly(
    shards: Sequence[str],
    view: View | Crops,
    workers: int = 0,
    edit: Edit | None = None,
    draw: int = 0,
) -> Iterator[dict[str, Any]]:
    """Decode every sample of shards, in order.

    A damaged image yields only a ``record`` with its ``key`` and ``error``.

    Args:
        shards: Paths or URLs.
        view: View or crops to take of each image.
        workers: Decoding threads; 0 decodes in the caller's thread.
        edit: Edit applied to each image before the view.
        draw: Number of the draw: each gives other random choices.

    Yields:
        The result of :func:`datamodules.streams.decode_sample`; its record has the ``sha256`` of
        the image. Random choices depend on the sample's key and ``draw`` alone.

    Raises:
        ValueError: If a shard is damaged, a sample has no label, or the number of samples differs
            from the index.
    """

    def decode(sample: ShardSample) -> dict[str, Any]:
        return _decode(sample, view, edit, draw)

    # crops are as large as the image, and a view is small
    ahead = 64 if isinstance(view, View) else 2
    for shard in shards:
        count = 0
        samples = read_shards([shard])
        decoded = map_ahead(
            decode, samples, workers, _coded_bytes, DECODE_AHEAD_BYTES, ahead * workers
        )
        for _, sample in decoded:
            count += 1
            yield sample
        _check_count(shard, count, count_samples(shard))


class ExactBatch(NamedTuple):
    """Consecutive samples of some shards.

    Attributes:
        samples: Decoded samples; see :func:`datamodules.streams.decode_sample`.
        inputs: Their images, (3, S, S) or (K, 3, S, S) uint8, or features, (D,); see
            :func:`images.transforms.views.as_input`.
        unread: Records of the damaged samples, with ``key`` and ``error``.
    """

    samples: list[dict[str, Any]]
    inputs: list[Tensor]
    unread: list[dict[str, Any]]

    @property
    def factors(self) -> list[float] | None:
        """Factors by which the view scaled the images; None for features."""
        factors = [sample["factor"] for sample in self.samples]
        return None if None in factors else factors


def read_batches(batch_size: int, samples: Iterator[dict[str, Any]]) -> Iterator[ExactBatch]:
    """Group samples of :func:`read_exactly` into batches; damaged ones count."""
    while group := list(islice(samples, batch_size)):
        decoded = [sample for sample in group if "image" in sample]
        unread = [sample["record"] for sample in group if "image" not in sample]
        yield ExactBatch(decoded, [sample["image"] for sample in decoded], unread)


def feature_width(urls: Sequence[str], shards: Sequence[str]) -> int | None:
    """Find the width of feature shards; None for image shards.

    Raises:
        ValueError: If images and features are mixed, or features of several widths.
    """
    widths = {describe_features(shard)[1] if shard.endswith(FEATURES) else None for shard in shards}
    if len(widths) > 1:
        msg = (
            "shards of images and of features, or features of several widths, are in one set: "
            f"{', '.join(urls)}"
        )
        raise ValueError(msg)
    return widths.pop() if widths else None


class ExactStream(IterableDataset[dict[str, Any]]):
    """Stream of every sample exactly once over all processes.

    All processes get the same number of batches. The last ones are filled up with samples labelled
    :data:`PADDING`. A damaged image becomes such a sample, with its record.

    Args:
        urls: Patterns of shards; see :class:`datamodules.shards.ShardSource`.
        view: View to take of each image.
        batch_size: Images per batch.
        rank: Rank of this process.
        world: Number of processes.
        workers: Loader processes of each process.
        edit: Edit applied to each image before the view. Random choices of edit and view depend on
            the sample's key alone.

    Raises:
        ValueError: If a shard's number of samples is unknown, there are no samples, or shards of
            images and of features are mixed.
    """

    def __init__(
        self,
        urls: Sequence[str],
        view: View,
        batch_size: int,
        rank: int,
        world: int,
        workers: int = 1,
        edit: Edit | None = None,
    ) -> None:
        shards = [shard for pattern in urls for shard in find_shards(pattern)]
        self.shards = [(shard, count_samples(shard)) for shard in shards]
        if not any(count for _, count in self.shards):
            msg = f"no samples in {', '.join(urls)}: name other shards, or write them again"
            raise ValueError(msg)
        self.view = view
        self.batch_size = batch_size
        self.rank = rank
        self.world = world
        self.workers = workers
        self.edit = edit
        width = feature_width(urls, shards)
        if width is None:
            self.empty_input = torch.zeros(3, view.size, view.size, dtype=torch.uint8)
        else:
            self.empty_input = torch.zeros(width).half()

    def batches_of(self, worker: int, workers: int) -> int:
        """Return the number of batches of one worker, equal in every process."""
        spans = self._spans(worker, workers)
        most = max(self._own_samples(rank, spans) for rank in range(self.world))
        return -(-most // self.batch_size)

    def _own_samples(self, rank: int, spans: list[tuple[int, int]]) -> int:
        """Count the samples of shards, given as spans, that one rank reads."""
        count = 0
        for first, length in spans:
            start = first + (rank - first) % self.world
            count += len(range(start, first + length, self.world))
        return count

    def __len__(self) -> int:
        batches = sum(self.batches_of(worker, self.workers) for worker in range(self.workers))
        return self.batch_size * batches

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker, workers = loader_worker()
        own_shards = range(worker, len(self.shards), workers)
        done = 0
        # samples go to the ranks in turn, by their number over all shards
        for index, (first, count) in zip(own_shards, self._spans(worker, workers), strict=True):
            shard = self.shards[index][0]
            read = 0
            for number, sample in enumerate(read_shards([shard]), start=first):
                read += 1
                if number % self.world == self.rank:
                    yield self._sample(sample)
                    done += 1
            _check_count(shard, read, count)
        # fill up to the number of batches that every rank has
        for _ in range(self.batches_of(worker, workers) * self.batch_size - done):
            yield self._padding({})

    def _spans(self, worker: int, workers: int) -> list[tuple[int, int]]:
        """List first sample number, over all shards, and count of a worker's shards."""
        spans = []
        first = 0
        for index, (_, count) in enumerate(self.shards):
            if index % workers == worker:
                spans.append((first, count))
            first += count
        return spans

    def _sample(self, sample: ShardSample) -> dict[str, Any]:
        """Decode a sample, or turn a damaged one into padding."""
        decoded = _decode(sample, self.view, self.edit)
        return decoded | {"damaged": []} if "image" in decoded else self._padding(decoded["record"])

    def _padding(self, record: dict[str, Any]) -> dict[str, Any]:
        """Build a padding sample, with a record if it replaces a damaged image."""
        return {
            "image": self.empty_input,
            "label": PADDING,
            "record": record,
            "damaged": [record["error"]] if record else [],
        }


def _decode(
    sample: ShardSample, view: View | Crops, edit: Edit | None, draw: int = 0
) -> dict[str, Any]:
    """Decode a sample with a generator seeded by its key.

    A damaged sample gives a record of its error.
    """
    seed = zlib.crc32(sample.key.encode("utf-8", "surrogateescape"))
    rng = np.random.default_rng([seed, draw] if draw else seed)
    try:
        decoded = decode_sample(sample, view, rng, edit)
    except UnreadableImage as error:
        return {"record": {"key": sample.key, "error": str(error)}}
    if sample.image is not None and not decoded["record"].get("sha256"):
        decoded["record"]["sha256"] = hashlib.sha256(sample.image).hexdigest()
    return decoded


def _coded_bytes(sample: ShardSample) -> int:
    """Return the size of a sample's image file."""
    return len(sample.image or b"")


def _check_count(shard: str, count: int, expected: int) -> None:
    """Raise ValueError if a sample count differs from the index."""
    if count != expected:
        msg = f"{shard}: {count} samples, but its index says {expected}; write the shards again"
        raise ValueError(msg)
