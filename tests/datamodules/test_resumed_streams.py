"""Training streams of shards that start at any batch."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from datamodules.shards import ShardSource, read_shards
from datamodules.shuffled import ShuffledShards
from datamodules.streams import MixedStream, collate
from images.shard_writer import ShardWriter
from images.transforms.views import View

VIEW = View("crop", size=4, resize=4, random=True)

DAMAGED = (2, 7, 8)
"""Numbers of the damaged images of each shard."""


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for name, label, sizes in (("real", 0, (11, 3, 20)), ("made", 1, (9, 14)), ("rare", 1, (30,))):
        for number, size in enumerate(sizes):
            writer = ShardWriter(folder / f"{name}-{number}.tar")
            for index in range(size):
                rng = np.random.default_rng([label, number, index])
                pixels = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
                buffer = io.BytesIO()
                Image.fromarray(pixels).save(buffer, "PNG")
                content = buffer.getvalue()
                writer.add(f"{index}.png", content[:45] if index in DAMAGED else content)
                writer.add(f"{index}.json", json.dumps({"label": label, "of": name}).encode())
            writer.close()
    return folder


def stream(shards, seen=0, batches=5, rank=0):
    sources = (
        [ShardSource(f"{shards}/real-*.tar")],
        [ShardSource(f"{shards}/made-*.tar", 5), ShardSource(f"{shards}/rare-*.tar", 1)],
    )
    resumed = MixedStream(sources, VIEW, 4, batches, 18, seed=3, rank=rank)
    resumed.go_to(seen)
    return resumed


def batches_of(shards, workers, epochs, seen=0):
    """Read epochs as a training run does: images, labels and numbers of damaged ones."""
    loader = DataLoader(
        stream(shards, seen),
        batch_size=4,
        num_workers=workers,
        collate_fn=collate,
        persistent_workers=workers > 0,
    )
    batches = []
    for _ in range(epochs):
        loader.dataset.go_to(seen + len(batches))
        batches += list(loader)
    return batches


def same(one, other):
    return len(one) == len(other) and all(
        torch.equal(a[key], b[key]) and a["damaged"] == b["damaged"]
        for a, b in zip(one, other, strict=True)
        for key in ("image", "label")
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_goes_on_exactly_where_it_was(shards, workers):
    whole = batches_of(shards, workers, epochs=3)
    assert len(whole) == 15
    assert any(batch["damaged"] for batch in whole)
    for seen in (1, 4, 5, 7) if workers == 0 else (6,):
        epochs = 3 - seen // 5
        assert same(batches_of(shards, workers, epochs, seen), whole[seen:]), seen


def test_a_shuffled_source_starts_at_any_sample(shards):
    files = sorted(str(path) for path in shards.glob("real-*.tar"))

    def samples(position, number, block):
        source = ShuffledShards(files, lambda shard: read_shards([shard]), block, "seed", position)
        found = []
        for _ in range(number):
            sample = next(source.take())
            found.append((sample.url, sample.key))
            source.advance()
        return found

    for block in (1, 7, 50):
        whole = samples(0, 120, block)
        for position in (1, 11, 14, 60, 119):
            assert samples(position, 120 - position, block) == whole[position:]
    in_order = [(sample.url, sample.key) for sample in read_shards(files)]
    assert set(samples(0, 400, 50)) == set(in_order)
    assert samples(0, 50, 50) != samples(0, 50, 1), "blocks are shuffled"
    assert sorted(samples(0, 50, 50)) == sorted(samples(0, 50, 1))


def test_ranks_read_other_samples(shards):
    first, second = (next(iter(stream(shards, rank=rank))) for rank in (0, 1))
    assert not torch.equal(first["image"], second["image"])
