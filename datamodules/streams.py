"""Reading shards as streams, from here, the Hub or a web server: for training without end, or every sample exactly once."""

from __future__ import annotations

import io
import random
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from datamodules.features import ENDING as FEATURES
from datamodules.features import describe_features
from datamodules.shards import ShardSample, ShardSource, count_samples, find_shards, read_shards, refuse_empty
from engine.records import parse_json
from images.io import UnreadableImage, decode_photo
from images.png import decode_rows, plain_size
from images.transforms import Edit, RGBImage
from images.transforms.views import View

MOST_CORRUPT = 1000
"""Damaged pictures in a row that end a run."""

AGAIN = "write the shards with python -m datamodules shard"

PADDING = -1
"""Label of samples that only make the batches of all processes equally many."""


def decode_sample(sample: ShardSample, view: View, rng: np.random.Generator, edit: Edit | None = None) -> dict[str, Any]:
    """Decode a sample, whose image is edited first if an edit is given.

    Args:
        sample: The sample.
        view: What is made of the image.
        rng: Draws what is random in both.
        edit: What is done to the image.

    Returns:
        ``image``, (3, S, S) grey levels, or (D,) of a shard of features; ``label`` and ``record``.

    Raises:
        UnreadableImage: If the image is damaged, or there is none.
        ValueError: If there is no record with a label of 0 or 1.
    """
    if sample.image is None and sample.features is None:
        msg = f"{sample.name}: {sample.fault}"
        raise UnreadableImage(msg)
    if sample.record is None:
        msg = f"{sample.name}: no record with a label; {AGAIN}"
        raise ValueError(msg)
    record = parse_json(sample.record, dict[str, Any], f"{sample.name}: the record", AGAIN)
    if (label := record.get("label")) not in (0, 1):
        msg = f"{sample.name}: its record has no label of 0, real, or 1, generated; {AGAIN}"
        raise ValueError(msg)
    known = {"label": int(label), "record": record | {"key": sample.key}}
    if sample.features is not None:
        if edit is not None:
            msg = f"{sample.name}: features cannot be edited; name shards of images"
            raise ValueError(msg)
        return {"image": sample.features[int(rng.integers(len(sample.features)))]} | known
    content = sample.image or b""
    levels = seen(content, sample.name, view, rng) if edit is None else viewed(edit(_decoded(content, sample.name), rng), view, rng)
    return {"image": torch.from_numpy(levels.transpose(2, 0, 1).copy())} | known


def viewed(rgb: RGBImage, view: View, rng: np.random.Generator) -> RGBImage:
    """A decoded picture's view, (S, S, 3)."""
    return view.read(rgb.shape[:2], lambda rows: rgb[:rows], rng)


def seen(content: bytes, name: str, view: View, rng: np.random.Generator) -> RGBImage:
    """A picture file's view, (S, S, 3), decoded as far down as it reaches.

    Raises:
        UnreadableImage: If what the view needs is damaged, or the file cut short; errors call it ``name``.
    """
    size = plain_size(content)
    if size is not None:
        state = rng.bit_generator.state
        try:
            return view.read(size, partial(decode_rows, content), rng)
        except RuntimeError:  # what is wrong with it, if anything, the other decoder says
            rng.bit_generator.state = state
    return viewed(_decoded(content, name), view, rng)


def _decoded(content: bytes, name: str) -> RGBImage:
    return decode_photo(io.BytesIO(content), name).rgb


class MixedStream(IterableDataset[dict[str, Any]]):
    """Samples of both classes, equally many of each on average, drawn with replacement from shuffled shards.

    A damaged picture is passed over; the next sample says how many were (``corrupt``).

    Args:
        sources: Sources of photographs, then those of generated pictures.
        view: What is made of each picture.
        batch_size: Pictures per batch; every worker makes whole batches.
        batches: Batches per epoch and process.
        shuffle: Pictures held, still coded, to draw the next one from.
        seed: Of everything random; the same for all processes.
        rank: Of this process.

    Raises:
        FileNotFoundError: If shards are missing.
        ValueError: If a source has no samples.
    """

    def __init__(
        self,
        sources: tuple[Sequence[ShardSource], Sequence[ShardSource]],
        view: View,
        batch_size: int,
        batches: int,
        shuffle: int,
        seed: int,
        rank: int,
    ) -> None:
        named = [source.urls for sources_of_class in sources for source in sources_of_class]
        self.shards = [find_shards(urls) for urls in named]
        for urls, shards in zip(named, self.shards, strict=True):
            refuse_empty(urls, shards)
        self.weights = [source.weight / sum(one.weight for one in of_class) / 2 for of_class in sources for source in of_class]
        self.view, self.batch_size, self.batches, self.shuffle = view, batch_size, batches, shuffle
        self.seed, self.rank, self.epoch = seed, rank, -1
        self.streams: list[Iterator[ShardSample]] = []

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.epoch += 1  # persistent workers keep it, so that no epoch repeats another
        worker, workers = _worker()
        rng = random.Random(f"{self.seed} {self.rank} {worker} {self.epoch}")
        edits = np.random.default_rng(rng.getrandbits(64))
        if not self.streams:  # kept from epoch to epoch: a source drawn rarely would else never get past the head of a shard
            held = max(1, self.shuffle // workers // len(self.shards))
            self.streams = [_shuffled(_without_end(shards, rng), held, rng) for shards in self.shards]
        corrupt = 0
        for _ in range(self.batch_size * len(range(worker, self.batches, workers))):
            while True:
                sample = next(rng.choices(self.streams, self.weights)[0])
                try:
                    found = decode_sample(sample, self.view, edits)
                    break
                except UnreadableImage as error:
                    corrupt += 1
                    if corrupt == MOST_CORRUPT:
                        msg = f"{corrupt} damaged pictures in a row, the last: {error}; get the shards again"
                        raise ValueError(msg) from error
            yield found | {"corrupt": corrupt}
            corrupt = 0


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
        edit: What is done to each picture first; its random choices, and the view's, depend on the sample's key and ``draw`` alone.
        draw: For other random choices.

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
        draw: int = 0,
    ) -> None:
        self.edit, self.draw = edit, draw
        self.shards = [(shard, count_samples(shard)) for pattern in urls for shard in find_shards(pattern)]
        if not any(count for _, count in self.shards):
            msg = f"no samples in {', '.join(urls)}: name other shards, or write them again"
            raise ValueError(msg)
        self.view, self.batch_size, self.rank, self.world, self.workers = view, batch_size, rank, world, workers
        kinds = {describe_features(shard)[1] if shard.endswith(FEATURES) else None for shard, _ in self.shards}
        if len(kinds) > 1:
            msg = f"shards of pictures and of features, or features of several widths, are in one set: {', '.join(urls)}"
            raise ValueError(msg)
        width = kinds.pop()
        self.nothing = torch.zeros(3, view.size, view.size, dtype=torch.uint8) if width is None else torch.zeros(width).half()

    def batches_of(self, worker: int, workers: int) -> int:
        """Batches of one worker, the same in every process."""
        spans = self._spans(worker, workers)
        shares = [
            sum(len(range(first + (rank - first) % self.world, first + count, self.world)) for first, count in spans)
            for rank in range(self.world)
        ]
        return -(-max(shares) // self.batch_size)

    def __len__(self) -> int:
        return self.batch_size * sum(self.batches_of(worker, self.workers) for worker in range(self.workers))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker, workers = _worker()
        done = 0
        for index, (first, count) in zip(range(worker, len(self.shards), workers), self._spans(worker, workers), strict=True):
            number = -1
            for number, sample in enumerate(read_shards([self.shards[index][0]])):
                if (first + number) % self.world == self.rank:
                    yield self._sample(sample)
                    done += 1
            if number + 1 != count:
                msg = f"{self.shards[index][0]}: {number + 1} samples, but its index says {count}; write the shards again"
                raise ValueError(msg)
        for _ in range(self.batches_of(worker, workers) * self.batch_size - done):
            yield self._padding({})

    def _spans(self, worker: int, workers: int) -> list[tuple[int, int]]:
        """Number of the first sample, over all shards, and count of each of a worker's shards."""
        firsts = np.cumsum([0, *(count for _, count in self.shards)]).tolist()
        return [(firsts[index], self.shards[index][1]) for index in range(worker, len(self.shards), workers)]

    def _sample(self, sample: ShardSample) -> dict[str, Any]:
        try:
            seed = zlib.crc32(sample.key.encode("utf-8", "surrogateescape"))
            rng = np.random.default_rng([seed, self.draw] if self.draw else seed)
            return decode_sample(sample, self.view, rng, self.edit) | {"corrupt": 0}
        except UnreadableImage as error:
            return self._padding({"key": sample.key, "error": str(error)})

    def _padding(self, record: dict[str, Any]) -> dict[str, Any]:
        return {"image": self.nothing, "label": PADDING, "record": record, "corrupt": int(bool(record))}


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch: ``image`` (B, 3, S, S) in [0, 1], or (B, D) of features; ``label`` (B,); ``corrupt``, pictures passed over; ``record``."""
    images: Tensor = torch.stack([sample["image"] for sample in samples])
    images = images.float().div_(255) if images.dtype == torch.uint8 else images.float()
    labels = torch.tensor([sample["label"] for sample in samples])
    corrupt = torch.tensor(sum(sample["corrupt"] for sample in samples))
    return {"image": images, "label": labels, "corrupt": corrupt, "record": [sample["record"] for sample in samples]}


def _without_end(shards: list[str], rng: random.Random) -> Iterator[ShardSample]:
    """Samples of shards drawn at random, for ever.

    Raises:
        ValueError: If there are no samples in any of them.
    """
    empty: set[str] = set()
    while True:
        shard = rng.choice(shards)
        empty.add(shard)
        for sample in read_shards([shard]):
            empty.clear()
            yield sample
        if len(empty) == len(set(shards)):
            msg = f"no samples in {shards[0]}, nor in the other {len(empty) - 1} shards of its source"
            raise ValueError(msg)


def _shuffled(samples: Iterator[ShardSample], held: int, rng: random.Random) -> Iterator[ShardSample]:
    """Samples in a random order, as far as so many held ones allow."""
    buffer: list[ShardSample] = []
    for sample in samples:
        buffer.append(sample)
        if len(buffer) < held and (len(buffer) < held // 10 or rng.random() < 0.5):  # begin early, and fill up on the way
            continue
        place = rng.randrange(len(buffer))
        buffer[place], buffer[-1] = buffer[-1], buffer[place]
        yield buffer.pop()


def _worker() -> tuple[int, int]:
    info = get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)
