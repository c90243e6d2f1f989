"""The restoration network: its training images, its recipe, and that an attacker can use it."""

import numpy as np
import pytest
import torch

from engine.files import locked
from eval.attacks.purification import DownUp, Restoration
from tests.conftest import SHIPPED
from tiny.dataset import PortraitDataset
from tiny.fitting import Place
from tiny.restorer import DegradedPortraits, degrade
from tiny.train_restorer import train_restorer


def test_a_degraded_portrait_is_half_as_large_and_other_each_time():
    portraits = DegradedPortraits(PortraitDataset(0, 1, 1))
    torch.manual_seed(0)
    first, second = portraits[0], portraits[0]
    torch.manual_seed(0)
    again = portraits[0]
    assert first["image"].shape == (3, 64, 64)
    assert first["small"].shape == (3, 32, 32)
    assert torch.equal(first["image"], second["image"])
    assert not torch.equal(first["small"], second["small"])
    assert torch.equal(first["small"], again["small"])


def test_degradation_leaves_its_input_alone_and_the_picture_recognizable():
    rgb = DegradedPortraits(PortraitDataset(0, 1, 1)).images[0]
    kept = rgb.copy()
    halves = rgb.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    for seed in range(20):
        small = degrade(rgb, np.random.default_rng(seed))
        assert np.abs(small - halves).mean() < 12
    assert (rgb == kept).all()


def test_the_recipe_gives_a_network_that_an_attacker_opens(tmp_path, portraits):
    place = Place(tmp_path / "shipped", tmp_path / "work")
    train_restorer(place, "restorer", steps=1, people=8, held_out=1)
    restored = Restoration(str(tmp_path / "shipped" / "restorer"))(portraits[:2], torch.Generator())
    assert restored.shape == (2, 3, 64, 64)
    assert ((restored >= 0) & (restored <= 1)).all()
    assert not torch.equal(restored[0], restored[1])


def test_the_shipped_network_restores_more_than_scaling_back(portraits):
    """At half size, which takes the protection's grain away."""

    def error(method):
        restored = method(portraits, torch.Generator())
        return (restored - portraits).square().mean().item()

    assert error(Restoration(str(SHIPPED / "restorer"))) < 0.8 * error(DownUp(0.5))


def test_a_second_training_in_the_same_folder_is_refused(tmp_path):
    place = Place(tmp_path / "shipped", tmp_path / "work")
    with locked(tmp_path / "work" / "restorer"), pytest.raises(ValueError, match="another run"):
        train_restorer(place, "restorer", steps=1, people=8, held_out=1)
