"""The recipe of the detector for photographs."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from checkpoints.folders import ROOT
from datamodules.fake2m.facts import read_facts
from engine.cli import run
from images.inputs import find_images
from tiny.__main__ import main
from tiny.photo_fakes import TRAINING_SUBSETS, crops_of, make_photo_shards


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(6):
        pixels = rng.integers(0, 256, (210 + number, 260, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return find_images([folder]).complete()


def test_crops_are_other_parts_and_the_same_again(photos):
    crops = list(crops_of(photos[0], 3, seed=1))
    assert [crop.shape for crop in crops] == [(160, 160, 3)] * 3
    assert not np.array_equal(crops[0], crops[1])
    assert all(map(np.array_equal, crops, crops_of(photos[0], 3, seed=1)))


def test_splits_share_no_photo_and_one_autoencoder_is_for_validation(photos, tmp_path):
    stand_in = ROOT / "checkpoints" / "tiny" / "upscaler"
    make_photo_shards(photos, stand_in, tmp_path, crops=1, seed=1)
    hashes = {}
    for shard in tmp_path.glob("*-photos-*.tar"):
        hashes[shard.name.split("-")[0]] = {record["sha256"] for _, record in read_facts(shard)}
    assert {split: len(of) for split, of in hashes.items()} == {
        "train": 4,
        "val": 1,
        "calibration": 1,
    }
    assert not hashes["train"] & hashes["val"]
    made = {path.name.removesuffix("-000000.tar") for path in tmp_path.glob("*.tar")}
    assert {name for name in made if "upscaler" in name} == {"val-upscaler"}
    assert {f"train-{name}" for name in TRAINING_SUBSETS} < made
    for name in TRAINING_SUBSETS:
        facts = read_facts(tmp_path / f"train-{name}-000000.tar")
        assert {record["twin"] for _, record in facts} == hashes["train"]


def test_the_recipe_asks_for_photos_and_for_taef2(photos, tmp_path, capsys):
    folder = str(Path(photos[0].path).parent)
    arguments = ["train", "photo-detector", "--data", folder, "--output", str(tmp_path)]
    assert run(main, arguments) == 2
    error = capsys.readouterr().err
    assert "at least 12 photos, got 6" in error
    assert "--autoencoder" in error
