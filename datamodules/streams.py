"""Endless training streams of shard samples, local or remote."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from datamodules.shards import ShardSample, ShardSource, find_shards, read_shards, refuse_empty
from datamodules.shuffled import ShuffledShards
from engine.records import parse_json
from images.io import decode_photo
from images.kinds import UnreadableImage
from images.png import decode_rows, plain_size
from images.transforms import Edit, RGBImage
from images.transforms.crops import Crops
from images.transforms.views import View, as_input, channels_first
from images.transforms.windows import Size

MAX_CORRUPT_IN_A_ROW = 1000
"""Number of consecutive damaged images that ends a run."""

REMEDY = "write the shards with python -m datamodules shard"


def decode_sample(
    sample: ShardSample, view: View | Crops, rng: np.random.Generator, edit: Edit | None = None
) -> dict[str, Any]:
    """Decode a sample, and take a view of its image.

    Args:
        sample: The sample.
        view: View to take of the image.
        rng: Generator for the random choices of edit and view.
        edit: Edit applied to the image before the view.

    Returns:
        ``image``, (3, S, S) uint8, (K, 3, S, S) of crops, or (D,) of a shard of features;
        ``factor`` by which the view scaled the image, None for features; ``label`` and ``record``.

    Raises:
        UnreadableImage: If the image is damaged or missing.
        ValueError: If there is no record with a label of 0 or 1, or features are to be edited.
    """
    if sample.image is None and sample.features is None:
        msg = f"{sample.name}: {sample.fault}"
        raise UnreadableImage(msg)
    known = parse_sample_record(sample)
    # features: one of the stored views, at random
    if sample.features is not None:
        if edit is not None:
            msg = f"{sample.name}: features cannot be edited; name shards of images"
            raise ValueError(msg)
        chosen = sample.features[int(rng.integers(len(sample.features)))]
        return {"image": chosen, "factor": None} | known
    # images: without an edit, only the part that the view needs is decoded
    content = sample.image or b""
    if edit is None:
        image_u8, size = decode_view(content, sample.name, view, rng)
    else:
        rgb = edit(decode_image(content, sample.name), rng)
        image_u8, size = apply_view(rgb, view, rng), rgb.shape[:2]
    return {"image": channels_first(image_u8), "factor": view.factor(size)} | known


def parse_sample_record(sample: ShardSample) -> dict[str, Any]:
    """Return a sample's ``label`` and ``record``.

    Raises:
        ValueError: If there is no record with a label of 0 or 1.
    """
    if sample.record is None:
        msg = f"{sample.name}: no record with a label; {REMEDY}"
        raise ValueError(msg)
    record = parse_json(sample.record, dict[str, Any], f"{sample.name}: the record", REMEDY)
    label = record.get("label")
    if label not in (0, 1):
        msg = f"{sample.name}: its record has no label of 0, real, or 1, generated; {REMEDY}"
        raise ValueError(msg)
    return {"label": int(label), "record": record | {"key": sample.key}}


def apply_view(rgb: RGBImage, view: View | Crops, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Take the view, (S, S, 3), or the crops, (K, S, S, 3), of a decoded image.

    Args:
        rgb: (H, W, 3) uint8.
        view: View to take.
        rng: Generator for its random choices.
    """
    return view.read(rgb.shape[:2], lambda rows: rgb[:rows], rng)


def decode_view(
    content: bytes, name: str, view: View | Crops, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], Size]:
    """Take the view, (S, S, 3), or the crops, (K, S, S, 3), of an image file.

    Only the rows that the view needs are decoded. Also returns the image's height and width.

    Args:
        content: The file's bytes.
        name: Name of the image in error messages.
        view: View to take.
        rng: Generator for its random choices.

    Raises:
        UnreadableImage: If a part that the view needs is damaged, or the file is cut short.
    """
    size = plain_size(content)
    if size is not None:
        state = rng.bit_generator.state
        try:
            return view.read(size, partial(decode_rows, content), rng), size
        except RuntimeError:
            # fall back to the general decoder, which reports any damage
            rng.bit_generator.state = state
    rgb = decode_image(content, name)
    return apply_view(rgb, view, rng), rgb.shape[:2]


def decode_image(content: bytes, name: str) -> RGBImage:
    """Decode an image file to (H, W, 3) uint8, transparent parts on white."""
    return decode_photo(io.BytesIO(content), name).on_white().rgb


class MixedStream(IterableDataset[dict[str, Any]]):
    """Class-balanced stream of samples, drawn with replacement from shuffled shards.

    A batch depends on the seed and on the number of batches before it alone. The stream of a
    resumed run goes on exactly where it was.

    For a damaged image another one near it is taken, whose ``damaged`` names those before it.

    Args:
        sources: Sources of real images, then those of generated images.
        view: View to take of each image.
        batch_size: Images per batch; every worker makes whole batches.
        batches: Batches per epoch and process.
        shuffle: Coded images that each process shuffles at a time.
        seed: Seed of all random choices; equal in all processes.
        rank: Rank of this process.
        edit: Edit applied to each image before the view; draws of the same generator.

    Raises:
        FileNotFoundError: If shards are missing.
        ValueError: If a source has no samples, or, while reading, images of the other class.
    """

    group = 1
    """Samples that are drawn together."""

    def __init__(
        self,
        sources: tuple[Sequence[ShardSource], Sequence[ShardSource]],
        view: View,
        batch_size: int,
        batches: int,
        shuffle: int,
        seed: int,
        rank: int,
        edit: Edit | None = None,
    ) -> None:
        self.shards: list[list[str]] = []
        self.weights: list[float] = []
        for class_sources in sources:
            total = sum(source.weight for source in class_sources)
            for source in class_sources:
                self.shards.append(find_shards(source.urls))
                self.weights.append(source.weight / total / 2)
        self.urls = [source.urls for class_sources in sources for source in class_sources]
        self.labels = [label for label in (0, 1) for _ in sources[label]]
        for pattern, shards in zip(self.urls, self.shards, strict=True):
            refuse_empty(pattern, shards)
        self.view = view
        self.batch_size = batch_size
        self.batches = batches
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.edit = edit
        # in shared memory, for loader processes that live longer than an epoch
        self.seen = torch.tensor(0).share_memory_()
        self.worker = (-1, -1)
        self.streams: list[ShuffledShards] = []

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[dict[str, Any]]:
        # batch i of an epoch is of worker i modulo their number, also where a run is resumed
        loader, workers = loader_worker()
        seen = int(self.seen)
        epoch, first = divmod(seen, self.batches)
        worker = (first + loader) % workers
        # workers keep their streams from epoch to epoch
        if self.worker != (worker, seen):
            self.streams = self._streams_at(epoch, first, worker, workers)
        self.worker = (worker, (epoch + 1) * self.batches)
        for number in range(first + loader, self.batches, workers):
            rng, sources = self._drawn(epoch * self.batches + number)
            view_rng = np.random.default_rng(rng.getrandbits(64))
            for source in sources:
                samples = self._next_samples(self.streams[source], view_rng)
                self._check_class(source, samples[-1])
                yield from samples

    def read(self, shard: str) -> Iterator[Any]:
        """Yield what a shard holds, not decoded."""
        return read_shards([shard])

    def decode(self, drawn: Any, rng: np.random.Generator) -> list[dict[str, Any]]:
        """Decode what :meth:`read` yields to :attr:`group` samples.

        Raises:
            UnreadableImage: If an image is damaged or missing.
        """
        return [decode_sample(drawn, self.view, rng, self.edit)]

    def go_to(self, seen: int) -> None:
        """Set the number of batches before the next iteration, also in loader processes."""
        self.seen.fill_(seen)

    def _drawn(self, number: int) -> tuple[random.Random, list[int]]:
        """Seed a batch's generator, and draw the source of each of its samples, or groups."""
        rng = random.Random(f"{self.seed} {self.rank} batch {number}")
        draws = self.batch_size // self.group
        return rng, rng.choices(range(len(self.shards)), self.weights, k=draws)

    def _streams_at(
        self, epoch: int, first: int, worker: int, workers: int
    ) -> list[ShuffledShards]:
        """Open a worker's streams where its earlier batches left them.

        Args:
            epoch: Number of the epoch.
            first: Number of the next batch in it.
            worker: Number of the worker.
            workers: Number of workers.
        """
        taken: Counter[int] = Counter()
        for earlier in range(epoch + 1):
            done = first if earlier == epoch else self.batches
            for number in range(worker, done, workers):
                taken.update(self._drawn(earlier * self.batches + number)[1])
        block = max(1, self.shuffle // workers // len(self.shards))
        streams = []
        for source, shards in enumerate(self.shards):
            seed = f"{self.seed} {self.rank} {worker} {source}"
            streams.append(ShuffledShards(shards, self.read, block, seed, taken[source]))
        return streams

    def _check_class(self, source: int, sample: dict[str, Any]) -> None:
        """Reject an image of the other class than its source was named for.

        Raises:
            ValueError: If it is.
        """
        label = self.labels[source]
        if sample["label"] != label:
            key = sample["record"]["key"]
            meaning = {0: "data.real, but its label is 1", 1: "data.generated, but its label is 0"}
            msg = f"{self.urls[source]}: {key} is named in {meaning[label]}; 1 is generated, 0 real"
            raise ValueError(msg)

    def _next_samples(
        self, stream: ShuffledShards, view_rng: np.random.Generator
    ) -> list[dict[str, Any]]:
        """Decode what is next, or the first in its place that is readable.

        Raises:
            ValueError: If :data:`MAX_CORRUPT_IN_A_ROW` images in a row are damaged.
        """
        coded = stream.take()
        damaged: list[str] = []
        while True:
            try:
                first, *others = self.decode(next(coded), view_rng)
            except UnreadableImage as error:
                damaged.append(str(error))
                if len(damaged) == MAX_CORRUPT_IN_A_ROW:
                    msg = f"{len(damaged)} damaged images in a row, the last: {error}"
                    msg += "; get the shards again"
                    raise ValueError(msg) from error
            else:
                stream.advance()
                return [
                    first | {"damaged": damaged},
                    *(other | {"damaged": []} for other in others),
                ]


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Collate decoded samples into a batch.

    Returns:
        ``image``, (B, 3, S, S) in [0, 1], or (B, D) of features; ``label``, (B,); ``damaged``, why
        each skipped image was; ``record``, a list.
    """
    return {
        "image": as_input(torch.stack([sample["image"] for sample in samples])),
        "label": torch.tensor([sample["label"] for sample in samples]),
        "damaged": [reason for sample in samples for reason in sample["damaged"]],
        "record": [sample["record"] for sample in samples],
    }


def loader_worker() -> tuple[int, int]:
    """Return this loader process's number and the number of loader processes."""
    info = get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)
