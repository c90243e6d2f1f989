"""Streams of shards: balanced classes, no repetition, every sample once, on several processes."""

import functools
import http.server
import io
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.exact import PADDING
from datamodules.fake2m.datamodule import Fake2MDataModule
from datamodules.fake2m.origin import Origin
from datamodules.fake2m.sharding import shard_images
from datamodules.fake2m.subset_writer import Limits
from datamodules.shards import ShardSource, find_shards
from images.archives import Member
from images.shard_writer import ShardWriter
from images.transforms.views import View

ROOT = Path(__file__).parents[3]
SMALL = View("crop", size=8, resize=8)


def png(value):
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, dtype=np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def write(folder, split, subset, label, count, per_shard=5, damaged=()):
    members = [
        Member(f"{subset}/{n}.png", png(n % 256)[:45] if n in damaged else png(n % 256))
        for n in range(count)
    ]
    origin = Origin(split, subset, label, family="gan" if label else "real")
    shard_images(members, folder, lambda path: origin, limits=Limits(samples=per_shard))


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for subset, label, count in (("photos", 0, 30), ("gan", 1, 20), ("diffusion", 1, 40)):
        write(folder, "train", subset, label, count)
    write(folder, "val", "photos", 0, 17, damaged=(3,))
    write(folder, "val", "gan", 1, 12)
    return folder


def training(shards, **settings):
    sources = {
        "real": [ShardSource(f"{shards}/train-photos-*.tar")],
        "generated": [
            ShardSource(f"{shards}/train-gan-*.tar", 1),
            ShardSource(f"{shards}/train-diffusion-{{000000..000007}}.tar", 3),
        ],
    }
    return Fake2MDataModule(
        **(
            sources
            | {"train_view": SMALL, "test_view": SMALL, "batch_size": 10, "num_workers": 0}
            | settings
        )
    )


def test_classes_are_even_and_sources_as_weighted(shards):
    torch.manual_seed(0)
    loader = training(shards, epoch_samples=2000, shuffle=50).train_dataloader()
    assert len(loader) == 200
    seen = Counter(record["subset"] for batch in loader for record in batch["record"])
    assert sum(seen.values()) == 2000
    assert seen["photos"] / 2000 == pytest.approx(1 / 2, abs=0.04)
    assert seen["gan"] / 2000 == pytest.approx(1 / 8, abs=0.03)
    batch = next(iter(loader))
    assert batch["image"].shape == (10, 3, 8, 8)
    assert batch["label"].tolist() == [record["label"] for record in batch["record"]]


@pytest.mark.parametrize("workers", [0, 2])
def test_epochs_differ_and_a_seed_repeats_a_run(shards, workers):
    def epochs(seed):
        torch.manual_seed(seed)
        loader = training(shards, epoch_samples=50, num_workers=workers).train_dataloader()
        keys = []
        for _ in range(2):
            keys.append([record["key"] for batch in loader for record in batch["record"]])
        return keys

    first, second = epochs(1)
    assert len(first) == len(second) == 50
    assert first != second
    assert epochs(1) == [first, second]
    assert epochs(2)[0] != first


def test_a_rare_source_is_seen_whole(tmp_path):
    write(tmp_path, "train", "photos", 0, 20)
    write(tmp_path, "train", "common", 1, 20)
    write(tmp_path, "train", "rare", 1, 120, per_shard=120)
    generated = [
        ShardSource(f"{tmp_path}/train-common-*.tar", 9),
        ShardSource(f"{tmp_path}/train-rare-*.tar", 1),
    ]
    data = Fake2MDataModule(
        [ShardSource(f"{tmp_path}/train-photos-*.tar")],
        generated,
        train_view=SMALL,
        batch_size=10,
        epoch_samples=100,
        num_workers=0,
    )
    loader = data.train_dataloader()
    seen = {
        record["key"]
        for _ in range(60)
        for batch in loader
        for record in batch["record"]
        if record["subset"] == "rare"
    }
    assert len(seen) > 90, "some 300 draws of 120 pictures, five an epoch"


def test_nothing_but_damaged_pictures_ends_a_run(tmp_path):
    write(tmp_path, "train", "photos", 0, 4, damaged=range(4))
    write(tmp_path, "train", "gan", 1, 4, damaged=range(4))
    sources = [[ShardSource(f"{tmp_path}/train-{name}-*.tar")] for name in ("photos", "gan")]
    with pytest.raises(ValueError, match="1000 damaged images in a row"):
        next(
            iter(
                Fake2MDataModule(
                    *sources, train_view=SMALL, batch_size=2, epoch_samples=20, num_workers=0
                ).train_dataloader()
            )
        )


def test_damaged_pictures_are_counted_and_passed_over(tmp_path):
    write(tmp_path, "train", "photos", 0, 4)
    with_holes = tmp_path / "train-gan-000000.tar"
    writer = ShardWriter(with_holes)
    for number in range(4):
        writer.add(f"{number}.png", png(9)[:45] if number == 2 else png(9))
        writer.add(f"{number}.json", json.dumps({"label": 1, "subset": "gan"}).encode())
    writer.close()
    sources = {
        "real": [ShardSource(f"{tmp_path}/train-photos-*.tar")],
        "generated": [ShardSource(str(with_holes))],
    }
    loader = Fake2MDataModule(
        **sources, train_view=SMALL, batch_size=10, epoch_samples=200, num_workers=0
    ).train_dataloader()
    batches = list(loader)
    assert sum(len(batch["record"]) for batch in batches) == 200
    damaged = [reason for batch in batches for reason in batch["damaged"]]
    assert 5 < len(damaged) < 80
    assert all(f"{with_holes}, 2: damaged" in reason for reason in damaged)
    assert not any(
        record["key"] == "2"
        for batch in batches
        for record in batch["record"]
        if record["label"] == 1
    )


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 2])
def test_every_sample_is_read_once_in_equally_many_batches(shards, world, workers, monkeypatch):
    seen, lengths = [], []
    for rank in range(world):
        data = training(shards, val=[f"{shards}/val-*.tar"], num_workers=workers, batch_size=4)
        monkeypatch.setattr(data, "_place", lambda rank=rank: (rank, world))
        loader = data.val_dataloader()
        batches = list(loader)
        lengths.append(len(batches))
        assert len(loader) == len(batches)
        for batch in batches:
            for label, record in zip(batch["label"].tolist(), batch["record"], strict=True):
                if label != PADDING:
                    seen.append(record["source_path"])
                elif record:
                    seen.append(f"photos/{record['key'].rpartition('/')[2]}.png")
                    assert "damaged" in record["error"]
    assert len(set(lengths)) == 1
    assert Counter(seen) == Counter(
        [f"photos/{n}.png" for n in range(17)] + [f"gan/{n}.png" for n in range(12)]
    )


TWO_RANKS = """
import json, sys, torch
from lightning import LightningModule, Trainer
from datamodules.fake2m.datamodule import Fake2MDataModule
from images.transforms.views import View

class Collects(LightningModule):
    def __init__(self):
        super().__init__()
        self.norm, self.seen = torch.nn.BatchNorm2d(3), []
    def validation_step(self, batch, _):
        self.norm(batch["image"])
        for record in batch["record"]:
            if "source_path" in record:
                self.seen.append(record["source_path"])

module = Collects()
quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", **quiet)
view = View("crop", size=8, resize=8)
data = Fake2MDataModule(val=[sys.argv[1]], test_view=view, batch_size=4, num_workers=2)
trainer.validate(module, data, verbose=False)
with open(f"{sys.argv[2]}/{trainer.global_rank}.json", "w") as file:
    json.dump(module.seen, file)
"""


@pytest.mark.slow
def test_two_processes_read_every_sample_once(shards, tmp_path):
    (tmp_path / "two.py").write_text(TWO_RANKS)
    command = [sys.executable, str(tmp_path / "two.py"), f"{shards}/val-*.tar", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, timeout=900, env=environment, capture_output=True)
    seen = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert all(seen)
    assert len(seen[0] + seen[1]) == len(set(seen[0] + seen[1])) == 28, "29 less the damaged one"


def test_shards_on_a_web_server(shards):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(shards))
    handler.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        root = f"http://127.0.0.1:{server.server_port}"
        data = Fake2MDataModule(
            val=[f"{root}/val-gan-{{000000..000002}}.tar"],
            test_view=SMALL,
            batch_size=4,
            num_workers=0,
        )
        keys = [record["key"] for batch in data.val_dataloader() for record in batch["record"]]
        assert keys == [f"gan/{n}" for n in range(12)]
    finally:
        server.shutdown()
        server.server_close()


def test_an_index_that_does_not_fit_is_told(tmp_path):
    write(tmp_path, "val", "gan", 1, 4)
    index = tmp_path / "val-gan.json"
    index.write_text(index.read_text().replace('"samples": 4', '"samples": 5'))
    data = Fake2MDataModule(
        val=[f"{tmp_path}/val-gan-*.tar"], test_view=SMALL, batch_size=4, num_workers=0
    )
    with pytest.raises(ValueError, match="4 samples, but its index says 5"):
        list(data.val_dataloader())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: find_shards("nowhere/*.tar"), "no shards at nowhere"),
        (lambda _: ShardSource("x.tar", 0), "the weight of x.tar must be above 0"),
        (lambda _: Fake2MDataModule(batch_size=0), "batch_size and shuffle must be at least 1"),
        (lambda _: Fake2MDataModule().train_dataloader(), "training needs sources of both classes"),
        (lambda _: Fake2MDataModule().predict_dataloader(), r"set data\.test"),
        (
            lambda shards: training(shards, epoch_samples=5).train_dataloader(),
            "an epoch of 5 images has 0 batches of 10",
        ),
    ],
)
def test_mistakes_are_told(make, words, shards):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        make(shards)
