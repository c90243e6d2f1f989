"""Reading every sample of shards exactly once: one after another in threads, or shared out over loader processes."""

from __future__ import annotations

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
from datamodules.streams import as_input, decode_sample, loader_worker
from engine.ordered import map_ahead
from images.io import UnreadableImage
from images.transforms import Edit
from images.transforms.views import View

PADDING = -1
"""Label of samples that only make the batches of all processes equally many."""

AHEAD = 256 << 20
"""Bytes of coded images that are decoded ahead of their turn."""


def read_exactly(
    shards: Sequence[str], view: View, workers: int = 0, edit: Edit | None = None, draw: int = 0
) -> Iterator[dict[str, Any]]:
    """Decode every sample of some shards, in order; a damaged image has a ``record`` of its ``key`` and ``error`` alone.

    Args:
        shards: Paths or URLs.
        view: What is made of each image.
        workers: Threads that decode; 0 for none.
        edit: What is done to each image first.
        draw: For other random choices than those of draw 0.

    Yields:
        What :func:`datamodules.streams.decode_sample` makes of each; random choices depend on the sample's key and ``draw`` alone.

    Raises:
        ValueError: If a shard is damaged, a sample has no label, or there are more or fewer than the index says.
    """

    def decode(sample: ShardSample) -> dict[str, Any]:
        return _decode(sample, view, edit, draw)

    for shard in shards:
        count = 0
        for _, found in map_ahead(
            decode, read_shards([shard]), workers, _weigh, AHEAD, 64 * workers
        ):
            count += 1
            yield found
        _check_count(shard, count, count_samples(shard))


class ExactBatch(NamedTuple):
    """Samples of some shards that follow one another.

    Attributes:
        samples: Those that could be decoded, as of :func:`datamodules.streams.decode_sample`.
        inputs: Their images, (3, S, S) in [0, 1], or features, (D,); float32.
        unread: Records of the others, with ``key`` and ``error``.
    """

    samples: list[dict[str, Any]]
    inputs: list[Tensor]
    unread: list[dict[str, Any]]


def read_batches(batch_size: int, samples: Iterator[dict[str, Any]]) -> Iterator[ExactBatch]:
    """Put samples of :func:`read_exactly` together, ``batch_size`` at a time with the damaged ones."""
    while taken := list(islice(samples, batch_size)):
        decoded = [sample for sample in taken if "image" in sample]
        unread = [sample["record"] for sample in taken if "image" not in sample]
        yield ExactBatch(decoded, [as_input(sample["image"]) for sample in decoded], unread)


def feature_width(urls: Sequence[str], shards: Sequence[str]) -> int | None:
    """Find the width of the features in some shards; None if they are shards of images.

    Raises:
        ValueError: If both are among them, or features of several widths.
    """
    kinds = {describe_features(shard)[1] if shard.endswith(FEATURES) else None for shard in shards}
    if len(kinds) > 1:
        msg = f"shards of pictures and of features, or features of several widths, are in one set: {', '.join(urls)}"
        raise ValueError(msg)
    return kinds.pop() if kinds else None


class ExactStream(IterableDataset[dict[str, Any]]):
    """Every sample of some shards exactly once over all processes, in batches of which each process has equally many.

    The last batches are filled up with samples labelled :data:`PADDING`. A damaged picture is one of these, too, but with its record.

    Args:
        urls: Patterns of shards; see :class:`ShardSource`.
        view: What is made of each picture.
        batch_size: Pictures per batch.
        rank: Of this process.
        world: How many processes.
        workers: Loader processes of each.
        edit: What is done to each picture first; its random choices, and the view's, depend on the sample's key alone.

    Raises:
        ValueError: If a shard's number of samples cannot be known, or shards of pictures and of features are mixed.
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
        self.edit = edit
        self.shards = [
            (shard, count_samples(shard)) for pattern in urls for shard in find_shards(pattern)
        ]
        if not any(count for _, count in self.shards):
            msg = f"no samples in {', '.join(urls)}: name other shards, or write them again"
            raise ValueError(msg)
        self.view, self.batch_size, self.rank, self.world, self.workers = (
            view,
            batch_size,
            rank,
            world,
            workers,
        )
        width = feature_width(urls, [shard for shard, _ in self.shards])
        self.nothing = (
            torch.zeros(3, view.size, view.size, dtype=torch.uint8)
            if width is None
            else torch.zeros(width).half()
        )

    def batches_of(self, worker: int, workers: int) -> int:
        """Batches of one worker, the same in every process."""
        spans = self._spans(worker, workers)
        shares = [
            sum(
                len(range(first + (rank - first) % self.world, first + count, self.world))
                for first, count in spans
            )
            for rank in range(self.world)
        ]
        return -(-max(shares) // self.batch_size)

    def __len__(self) -> int:
        return self.batch_size * sum(
            self.batches_of(worker, self.workers) for worker in range(self.workers)
        )

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker, workers = loader_worker()
        done = 0
        for index, (first, count) in zip(
            range(worker, len(self.shards), workers), self._spans(worker, workers), strict=True
        ):
            number = -1
            for number, sample in enumerate(read_shards([self.shards[index][0]])):
                if (first + number) % self.world == self.rank:
                    yield self._sample(sample)
                    done += 1
            _check_count(self.shards[index][0], number + 1, count)
        for _ in range(self.batches_of(worker, workers) * self.batch_size - done):
            yield self._padding({})

    def _spans(self, worker: int, workers: int) -> list[tuple[int, int]]:
        """Number of the first sample, over all shards, and count of each of a worker's shards."""
        firsts = np.cumsum([0, *(count for _, count in self.shards)]).tolist()
        return [
            (firsts[index], self.shards[index][1])
            for index in range(worker, len(self.shards), workers)
        ]

    def _sample(self, sample: ShardSample) -> dict[str, Any]:
        found = _decode(sample, self.view, self.edit)
        return found | {"corrupt": 0} if "image" in found else self._padding(found["record"])

    def _padding(self, record: dict[str, Any]) -> dict[str, Any]:
        return {
            "image": self.nothing,
            "label": PADDING,
            "record": record,
            "corrupt": int(bool(record)),
        }


def _decode(sample: ShardSample, view: View, edit: Edit | None, draw: int = 0) -> dict[str, Any]:
    seed = zlib.crc32(sample.key.encode("utf-8", "surrogateescape"))
    try:
        return decode_sample(
            sample, view, np.random.default_rng([seed, draw] if draw else seed), edit
        )
    except UnreadableImage as error:
        return {"record": {"key": sample.key, "error": str(error)}}


def _weigh(sample: ShardSample) -> int:
    return len(sample.image or b"")


def _check_count(shard: str, found: int, expected: int) -> None:
    if found != expected:
        msg = f"{shard}: {found} samples, but its index says {expected}; write the shards again"
        raise ValueError(msg)
