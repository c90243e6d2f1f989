"""Detectors without training: distances computed by hand, directions, and the usual commands."""

import json
from functools import partial

import numpy as np
import pytest
import torch

from checkpoints.folders import ROOT
from detectors.__main__ import main
from detectors.detector import Detector, load_detector
from detectors.networks.training_free import NoiseDistance, ReconstructionDistance, decibels
from detectors.platt import fit_platt
from detectors.scores import Scores
from engine.cli import run as run_command
from images.transforms.views import View
from models.pipelines import open_autoencoder, round_trip

run = partial(run_command, main)

PIPELINE = ROOT / "checkpoints" / "tiny" / "sd-a1"


def test_distances_become_decibels_on_the_side_that_is_asked_for():
    distances = torch.tensor([0.001, 0.01, 0.0])
    assert torch.allclose(decibels(distances, -30, "high"), torch.tensor([0.0, 10.0, -70.0]))
    assert torch.allclose(decibels(distances, -30, "low"), torch.tensor([0.0, -10.0, 70.0]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("free") / "detector"
    assert run(["convert", str(PIPELINE), str(target), "--kind", "aeroblade"]) == 0
    return target


def test_a_reconstruction_distance_is_the_mean_square(folder):
    detector = load_detector(str(folder))
    assert detector.view == View("crop", size=512, resize=512)
    images = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    made = round_trip(open_autoencoder(PIPELINE), images)
    squares = (made - images).square().mean(dim=(1, 2, 3))
    logits = detector(images)
    assert torch.allclose(logits, -10 * squares.log10() - 30, atol=1e-3)
    assert torch.allclose(detector(made) > logits, torch.tensor([True, True])), "it is nearer"
    places = detector.network.patch_logits(images)
    assert places.shape == (2, 2, 3)
    corner = (made - images)[0, :, :16, :16].square().mean()
    assert torch.allclose(places[0, 0, 0], -10 * corner.log10() - 30, atol=1e-3)
    flipped = ReconstructionDistance(**detector.options, generated="high")
    flipped.load_state_dict(detector.network.state_dict())
    assert torch.allclose(flipped(images), -logits)


def test_it_is_calibrated_and_scans_like_any_other(folder, shards, tmp_path, capsys):
    config = json.loads((folder / "config.json").read_text())
    config["view"] |= {"size": 32, "resize": 32}
    (folder / "config.json").write_text(json.dumps(config))
    quick = ["--accelerator", "cpu", "--workers", "0"]
    data = ["--data", f"[{shards}/val-*.tar]", *quick]
    codes = [run(["calibrate", str(folder), *data])]
    said = capsys.readouterr().err
    if codes[0] == 2:
        assert "(AUC 0." in said, "a wrong direction is named"
        config["options"]["generated"] = "high"
        (folder / "config.json").write_text(json.dumps(config))
        codes.append(run(["calibrate", str(folder), *data]))
    assert codes[-1] == 0
    out = str(tmp_path / "s.csv")
    assert run(["scan", str(shards), "-o", out, "--weights", str(folder), *quick]) == 0
    assert "0 generated, 0 unsure" not in capsys.readouterr().out


def test_a_noise_distance_is_the_angle_between_features():
    torch.manual_seed(0)
    network = NoiseDistance("resnet10t", noise=0.1)
    images = torch.rand(3, 3, 32, 32)
    logits = network(images)
    noise = 0.1 * torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0))
    for image, logit in zip(images, logits, strict=True):
        clean, noisy = (
            network.backbone(network.normalize(part.unsqueeze(0)))[0].double().numpy()
            for part in (image, image + noise)
        )
        cosine = clean @ noisy / np.linalg.norm(clean) / np.linalg.norm(noisy)
        assert float(logit) == pytest.approx(10 * np.log10(1 - cosine) + 20, abs=0.05)
    assert torch.equal(network(images), logits), "the noise is the same"
    assert torch.allclose(network(images[:1]), logits[:1], atol=0.05), "in whatever batch"
    other = NoiseDistance("resnet10t", noise=0.1, generated="low")
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(images), -logits)
    assert not network.train().training
    detector = Detector("noise", {"name": "resnet10t"}, View("crop", size=32, resize=32)).eval()
    views = [detector.view_of(np.zeros((32, 32, 3), np.uint8))] * 3
    assert detector.logits_and_features_of(views)[1].shape[0] == 3


def test_a_score_that_points_the_other_way_is_refused_with_its_auc():
    label = np.array([0, 0, 1, 1])
    scores = Scores(label, np.array([2.0, 1.0, 1.5, -1.0]), {})
    with pytest.raises(ValueError, match=r"\(AUC 0\.250\).*its option generated"):
        fit_platt(scores)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: NoiseDistance("resnet10t", noise=0), "noise is above 0"),
        (lambda: NoiseDistance("resnet10t", generated="near"), "generated is low or high"),
        (lambda: ReconstructionDistance("VQModel", {}), "no autoencoder 'VQModel'"),
    ],
)
def test_mistakes_are_told(make, words):
    with pytest.raises(ValueError, match=words):
        make()
