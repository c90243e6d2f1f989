"""The recipe of the copy-detection network for photographs."""

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import tiny.photo_copies
import tiny.train
from engine.cli import run
from images.inputs import find_images
from models.embedders import open_embedder
from models.lite_net import LiteNet
from tiny.__main__ import main
from tiny.photo_copies import train_photo_copies
from tiny.photo_crops import OneCropOfEach, PhotoCrops
from tiny.photo_edits import on_a_page, random_copies


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(40):
        coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((80, 60)).save(folder / f"{number:02d}.png")
    return folder


def fresh_body(entry):
    """A body of random weights whose features vary between images."""
    body = LiteNet()
    nn.Module.train(body)
    body(torch.randn(16, 3, 64, 64))
    return body.eval()


def test_a_batch_has_one_crop_of_each_photo(photos):
    files = find_images([photos]).complete()[:5]
    crops = PhotoCrops(files, 3, seed=0)
    assert len(crops) == 15
    one_of_each = OneCropOfEach(crops)
    assert len(one_of_each) == 5
    torch.manual_seed(0)
    for photo in range(5):
        own = [crops[3 * photo + number]["image"] for number in range(3)]
        drawn = [one_of_each[photo]["image"] for _ in range(20)]
        chosen = {index for image in drawn for index in range(3) if torch.equal(image, own[index])}
        assert len(chosen) > 1
        assert all(any(torch.equal(image, crop) for crop in own) for image in drawn)


def test_the_recipe_ends_in_a_network_that_opens(photos, tmp_path, monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(tiny.photo_copies, "TRAINING_SIDE_PX", 32)
    monkeypatch.setattr(tiny.photo_copies, "open_lite_net", fresh_body)
    small = partial(train_photo_copies, crops=1, copies=32)
    monkeypatch.setattr(tiny.train, "FROM_PHOTOS", {"photo-copies": small})
    arguments = ["train", "photo-copies", "--steps", "1", "--data", str(photos)]
    places = ["--output", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    assert run(main, [*arguments, *places]) == 0
    embedder = open_embedder(str(tmp_path / "out" / "photo-copies"))
    assert embedder.dimension == 512
    assert embedder.preprocess.side == 224


def test_copies_are_images_of_the_asked_side_and_depend_on_the_seed():
    images = torch.rand(12, 3, 40, 56)
    torch.manual_seed(1)
    copies = random_copies(images, 32)
    assert copies.shape == (12, 3, 32, 32)
    assert 0 <= copies.min() <= copies.max() <= 1
    torch.manual_seed(1)
    assert torch.equal(random_copies(images, 32), copies)
    assert not torch.equal(random_copies(images, 32), copies)


def test_a_page_shows_the_whole_image():
    rng = np.random.default_rng(0)
    rgb = np.full((40, 60, 3), (200, 3, 201), np.uint8)
    for _ in range(20):
        page = on_a_page(rgb, rng)
        rows, columns = np.nonzero((page == (200, 3, 201)).all(axis=2))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width, "a whole rectangle"
        assert 0.25 * 40 < height < page.shape[0]
        assert width == pytest.approx(1.5 * height, abs=1.5)


def test_too_few_photos_are_refused(tmp_path, capsys):
    Image.new("RGB", (64, 64)).save(tmp_path / "one.png")
    out = str(tmp_path / "out")
    assert run(main, ["train", "photo-copies", "--data", str(tmp_path), "--output", out]) == 2
    assert "needs --data with at least 40 photos, got 1" in capsys.readouterr().err
