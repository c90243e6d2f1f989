"""Fixtures of the retrieval attack: sentinels, and a small reader."""

import pytest
import torch

from models.image_text_net import ImageTextNet
from sentinels.plant import PlantConfig, plant
from sentinels.planters import LocalPlanter


@pytest.fixture(scope="module")
def reads(tmp_path_factory):
    """An embedder that reads nothing, since it is untrained."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("reads")
    ImageTextNet(
        ["a", "red", "thing"], side=64, reader=(4, 4, 8), looks=(4, 8), threshold=1.0
    ).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def planted(collection, tmp_path):
    plant(collection, tmp_path / "sentinels", LocalPlanter(), PlantConfig(count=4, seed=3), None)
    return tmp_path / "sentinels" / "record.json"
