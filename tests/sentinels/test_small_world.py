"""The shipped embedder reads what the local planter sets, and tells who asked for what."""

import numpy as np
import torch

from images.io import save_png, to_rgb
from images.photo import Photo
from models.embedders import open_embedder
from sentinels.plant import PlantConfig, plant
from sentinels.planters import LocalPlanter
from sentinels.reader import load_network, load_reader, open_reader
from sentinels.record import Record
from sentinels.verify import verify
from tests.conftest import SHIPPED
from tiny.dataset import PortraitDataset

EMBEDDER = str(SHIPPED / "embedder")


def test_keys_are_planted_read_back_and_found(tmp_path):
    items = PortraitDataset(1_400_000, 12, 1, 128).__getitems__(list(range(12)))
    for number, item in enumerate(items):
        save_png(
            Photo(to_rgb(item["image"])),
            tmp_path / "photos" / f"{number:04d}.png",
        )
    letters = open_reader(EMBEDDER, None)
    report = plant(
        tmp_path / "photos", tmp_path / "out", LocalPlanter(), PlantConfig(count=6, seed=2), letters
    )
    assert not report.failed
    record = Record.open(tmp_path / "out" / "record.json")
    assert not [
        finding for finding in verify(record, load_reader(EMBEDDER)) if finding.level == "error"
    ]
    embedder = open_embedder(EMBEDDER)
    from images.io import open_photo

    paths = sorted((tmp_path / "photos").glob("*.png")) + [path for _, _, path in record.pairs()]
    vectors = embedder.embed_arrays([open_photo(path).rgb for path in paths])
    found = (
        embedder.embed_texts([sentinel.key.lower() for _, sentinel, _ in record.pairs()])
        @ vectors.T
    ).argmax(dim=1)
    assert found.tolist() == list(range(12, 18))


def test_what_a_picture_looks_like_does_not_depend_on_the_key():
    network, rng = load_network(EMBEDDER), np.random.default_rng(0)
    from sentinels.plate import set_key

    plain = [
        to_rgb(item["image"])
        for item in PortraitDataset(1_500_000, 8, 1, 128).__getitems__(list(range(8)))
    ]
    keyed = [set_key(np.ascontiguousarray(rgb), "BCDFGH", rng).rgb for rgb in plain]
    looks = [
        network.appearance(torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).float() / 255)
        for part in (plain, keyed)
    ]
    assert ((looks[0] @ looks[1].T).argmax(dim=1) == torch.arange(8)).float().mean() >= 0.8
