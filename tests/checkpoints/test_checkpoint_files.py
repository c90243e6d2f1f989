"""A Lightning checkpoint is a model wherever one is asked for."""

import csv
import io
import json
from hashlib import sha256

import numpy as np
import pytest
import torch
from PIL import Image

import detectors.robustness
from checkpoints.__main__ import main as checkpoints
from checkpoints.folders import model_folder, model_path
from checkpoints.saved import model_configs
from datamodules.fake2m.origin import Origin
from datamodules.fake2m.sharding import shard_images
from detectors.__main__ import main as detection
from detectors.detector import Detector
from engine.cli import run
from images.archives import Member
from images.transforms.views import View
from models.faces.face_net import FaceNet
from rid.__main__ import main as rid
from rid.generator import PerturbationGenerator

QUICK = ["--accelerator", "cpu", "--num_workers", "0"]


def checkpoint(file, **models):
    """What ``fit`` leaves of a task with these models."""
    torch.manual_seed(0)
    task = torch.nn.ModuleDict(models)
    torch.save({"state_dict": task.state_dict(), "models": model_configs(task), "epoch": 3}, file)
    return str(file)


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for number in range(3):
        levels = np.random.default_rng(number).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(levels).save(tmp_path / "photos" / f"{number}.png")
    return str(tmp_path / "photos")


@pytest.fixture
def shards(tmp_path):
    for label, sigma in ((0, 2.0), (1, 60.0)):
        members = []
        for number in range(12):
            levels = (
                np.random.default_rng(number)
                .normal(128, sigma, (40, 40, 3))
                .clip(0, 255)
                .astype(np.uint8)
            )
            buffer = io.BytesIO()
            Image.fromarray(levels).save(buffer, format="PNG")
            members.append(Member(f"p/{number}", buffer.getvalue()))
        origin = Origin("val", ("real", "fake")[label], label, generator="noise")
        shard_images(members, tmp_path / "shards", lambda path, origin=origin: origin)
    return f"[{tmp_path}/shards/val-*.tar]"


@pytest.fixture
def detector(tmp_path):
    torch.manual_seed(0)
    made = Detector("tiny_patches", view=View("crop", size=32, resize=32))
    made.network.network[-1].bias.data += 0.1
    return checkpoint(tmp_path / "last.ckpt", detector=made)


def told(capsys):
    return " ".join(
        line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")
    )


def test_protecting_with_a_checkpoint(photos, tmp_path):
    made = PerturbationGenerator(
        budget=4.0, image_size=16, patch_size=8, width=16, depth=1, heads=2
    )
    torch.nn.init.normal_(made.to_pixels.weight)
    name = checkpoint(tmp_path / "last.ckpt", generator=made)
    assert (
        run(
            rid,
            [
                "protect",
                photos,
                "-o",
                str(tmp_path / "out"),
                "--weights",
                name,
                "--accelerator",
                "cpu",
            ],
        )
        == 0
    )
    assert len(list((tmp_path / "out").glob("*.png"))) == 3
    weights = json.loads((tmp_path / "out" / "manifest.json").read_text())["settings"]["weights"]
    assert weights == {
        "name": name,
        "sha256": {"last.ckpt": sha256((tmp_path / "last.ckpt").read_bytes()).hexdigest()},
    }


def test_scanning_with_a_checkpoint(photos, detector, tmp_path):
    command = [
        "scan",
        photos,
        "-o",
        str(tmp_path / "out.csv"),
        "--weights",
        detector,
        "--accelerator",
        "cpu",
    ]
    assert run(detection, command) == 0
    with (tmp_path / "out.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 3


def test_testing_with_a_checkpoint(shards, detector, tmp_path):
    assert (
        run(
            detection,
            [
                "test",
                detector,
                "--data",
                shards,
                "-o",
                str(tmp_path / "out"),
                "--resamples",
                "0",
                *QUICK,
            ],
        )
        == 0
    )
    (weights,) = json.loads((tmp_path / "out" / "manifest.json").read_text())["detectors"]
    assert weights == {
        "name": detector,
        "sha256": sha256((tmp_path / "last.ckpt").read_bytes()).hexdigest(),
    }


def test_sweeping_with_a_checkpoint(shards, detector, tmp_path, monkeypatch):
    monkeypatch.setattr(detectors.robustness, "ROBUSTNESS", {})
    assert (
        run(
            detection,
            ["robustness", detector, "--data", shards, "-o", str(tmp_path / "out"), *QUICK],
        )
        == 0
    )
    assert (tmp_path / "out" / "robustness.csv").is_file()


def test_calibrating_a_checkpoint_makes_a_folder_and_says_so(shards, detector, tmp_path, capsys):
    flipped = Detector.from_pretrained(detector)
    flipped.network.network[-1].weight.data *= -1
    flipped.network.network[-1].bias.data *= -1
    ways = [detector, checkpoint(tmp_path / "flipped.ckpt", detector=flipped)]
    codes = [run(detection, ["calibrate", way, "--data", shards, *QUICK]) for way in ways]
    assert sorted(codes) == [0, 2], "one of the two calls grain generated"
    good = ways[codes.index(0)]
    folder = good.removesuffix(".ckpt")
    words = (
        f"{good}: a checkpoint cannot hold a calibration; "
        f"the calibrated detector will be saved as the folder {folder}"
    )
    assert words in capsys.readouterr().err
    assert Detector.from_pretrained(folder).calibration.images == 24
    assert run(checkpoints, ["verify", folder]) == 0
    assert run(detection, ["calibrate", good, "--data", shards, *QUICK]) == 2
    assert f"and {folder}, where the detector would be saved with it, exists" in told(capsys)


def test_verifying_a_checkpoint(detector, tmp_path, capsys):
    assert run(checkpoints, ["verify", detector]) == 0
    assert "1 weight files, 1 of them unverified; opened as a Detector" in capsys.readouterr().out
    content = (tmp_path / "last.ckpt").read_bytes()
    (tmp_path / "last.ckpt").write_bytes(content[: len(content) // 2])
    assert run(checkpoints, ["verify", detector]) == 2
    assert "damaged" in told(capsys)
    torch.save({"state_dict": {"x": torch.zeros(1)}, "models": {"x": 3}}, tmp_path / "odd.ckpt")
    assert run(checkpoints, ["verify", str(tmp_path / "odd.ckpt")]) == 2
    assert "the settings of its models are damaged" in told(capsys)


def test_a_checkpoint_that_is_not_there_or_of_another_model(photos, detector, tmp_path, capsys):
    for verb in (["verify", "none.ckpt"],):
        assert run(checkpoints, verb) == 2
        assert "none.ckpt: no such checkpoint" in told(capsys)
    assert run(rid, ["protect", photos, "-o", str(tmp_path / "out"), "--weights", detector]) == 2
    assert "contains Detector, not one PerturbationGenerator" in told(capsys)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="is a file; give the folder of a model"):
        model_folder(detector)
    FaceNet(image_size=16, channels=(8, 8), embedding=4).save_pretrained(tmp_path / "faces")
    with pytest.raises(ValueError, match="weights without settings; give their folder"):
        model_path(str(tmp_path / "faces" / "model.safetensors"))
