"""A small real extractor, drawn pictures, and an index of them."""

import shutil

import pytest
import torch

from images.io import save_png
from images.photo import Photo
from models.copy_net import CopyNet
from tests.indexing.commands import indexing
from tiny.collages import collage


@pytest.fixture(scope="session")
def extractor(tmp_path_factory):
    """Folder of an untrained network whose descriptors differ enough to be told apart."""
    torch.manual_seed(3)
    network = CopyNet(image_size=32, channels=(8, 16, 16), descriptor=16)
    network.train()(torch.randn(64, 3, 32, 32))
    folder = tmp_path_factory.mktemp("extractor")
    network.eval().save_pretrained(folder)
    return folder


def draw(folder, first, count):
    for number in range(count):
        save_png(Photo(collage(first + number, (40, 48)[number % 2])), folder / f"{number:04d}.png")
    return folder


@pytest.fixture(scope="session")
def references(tmp_path_factory):
    """A hundred pictures."""
    return draw(tmp_path_factory.mktemp("references"), 0, 100)


@pytest.fixture(scope="session")
def originals(tmp_path_factory):
    """Six pictures to release, two sizes."""
    return draw(tmp_path_factory.mktemp("originals"), 5000, 6)


@pytest.fixture(scope="session")
def index(extractor, references, tmp_path_factory):
    """An IVF-PQ index of the references, made by the commands."""
    root = tmp_path_factory.mktemp("index")
    extract = ("extract", references, "-o", root / "features", "--extractor.name", extractor)
    assert indexing(*extract, "--workers=0") == 0
    assert indexing("build", root / "features", "-o", root / "index", "--factory=IVF4,PQ4x4") == 0
    return root / "index"


@pytest.fixture
def own_index(index, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(index, tmp_path / "index")
