"""Reading shards as streams without end for training, from here, the Hub or a web server."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from datamodules.shards import ShardSample, ShardSource, find_shards, read_shards, refuse_empty
from engine.records import parse_json
from images.io import UnreadableImage, decode_photo
from images.png import decode_rows, plain_size
from images.transforms import Edit, RGBImage
from images.transforms.views import View

MOST_CORRUPT = 1000
"""Damaged pictures in a row that end a run."""

AGAIN = "write the shards with python -m datamodules shard"


def decode_sample(
    sample: ShardSample, view: View, rng: np.random.Generator, edit: Edit | None = None
) -> dict[str, Any]:
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
    levels = (
        decode_view(content, sample.name, view, rng)
        if edit is None
        else apply_view(edit(_decoded(content, sample.name), rng), view, rng)
    )
    return {"image": torch.from_numpy(levels.transpose(2, 0, 1).copy())} | known


def apply_view(rgb: RGBImage, view: View, rng: np.random.Generator) -> RGBImage:
    """A decoded picture's view, (S, S, 3)."""
    return view.read(rgb.shape[:2], lambda rows: rgb[:rows], rng)


def decode_view(content: bytes, name: str, view: View, rng: np.random.Generator) -> RGBImage:
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
    return apply_view(_decoded(content, name), view, rng)


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
        self.weights = [
            source.weight / sum(one.weight for one in of_class) / 2
            for of_class in sources
            for source in of_class
        ]
        self.view, self.batch_size, self.batches, self.shuffle = view, batch_size, batches, shuffle
        self.seed, self.rank, self.epoch = seed, rank, -1
        self.streams: list[Iterator[ShardSample]] = []

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.epoch += 1  # persistent workers keep it, so that no epoch repeats another
        worker, workers = loader_worker()
        rng = random.Random(f"{self.seed} {self.rank} {worker} {self.epoch}")
        edits = np.random.default_rng(rng.getrandbits(64))
        if not self.streams:  # kept from epoch to epoch: a source drawn rarely would else never get past the head of a shard
            held = max(1, self.shuffle // workers // len(self.shards))
            self.streams = [
                _shuffled(_without_end(shards, rng), held, rng) for shards in self.shards
            ]
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


def as_input(images: Tensor) -> Tensor:
    """Grey levels as float32 in [0, 1]; features as float32."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images.float()


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch: ``image`` (B, 3, S, S) in [0, 1], or (B, D) of features; ``label`` (B,); ``corrupt``, pictures passed over; ``record``."""
    images = as_input(torch.stack([sample["image"] for sample in samples]))
    labels = torch.tensor([sample["label"] for sample in samples])
    corrupt = torch.tensor(sum(sample["corrupt"] for sample in samples))
    return {
        "image": images,
        "label": labels,
        "corrupt": corrupt,
        "record": [sample["record"] for sample in samples],
    }


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
            msg = (
                f"no samples in {shards[0]}, nor in the other {len(empty) - 1} shards of its source"
            )
            raise ValueError(msg)


def _shuffled(
    samples: Iterator[ShardSample], held: int, rng: random.Random
) -> Iterator[ShardSample]:
    """Samples in a random order, as far as so many held ones allow."""
    buffer: list[ShardSample] = []
    for sample in samples:
        buffer.append(sample)
        if len(buffer) < held and (
            len(buffer) < held // 10 or rng.random() < 0.5
        ):  # begin early, and fill up on the way
            continue
        place = rng.randrange(len(buffer))
        buffer[place], buffer[-1] = buffer[-1], buffer[place]
        yield buffer.pop()


def loader_worker() -> tuple[int, int]:
    """Number of this loader process, and how many there are."""
    info = get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)
