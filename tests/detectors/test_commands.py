"""The verbs ``calibrate`` and ``test`` of trained detectors."""

import json
from pathlib import Path

import pytest
import torch

from detectors.__main__ import main as door
from detectors.calibration import Calibration
from detectors.detector import Detector, load_detector
from detectors.scores import Scores
from engine.cli import run as run_command
from images.transforms.views import View


def test_the_door_tells_mistakes_in_one_line(config, capsys):
    path = config("nothing", {})
    assert run_command(door, ["fit", "-c", path]) == 2
    assert "no network 'nothing'; choose one of timm," in capsys.readouterr().err
    assert run_command(door, ["paint"]) == 2


def test_calibrate_and_test_from_the_door(trained, shards, tmp_path, capsys):
    folder = str(Path(trained.trainer.log_dir) / "detector")
    quick = ["--accelerator", "cpu", "--num_workers", "0", "--batch_size", "16"]
    assert (
        run_command(door, ["calibrate", folder, "--data", f"[{shards}/train-*.tar]", *quick]) == 0
    )
    assert "on 160 images" in capsys.readouterr().out
    opened = load_detector(folder)
    assert opened.calibration.images == 160
    data = opened.calibration.data
    assert (data.real, data.generated, len(data.date)) == (80, 80, 10)
    assert set(data.shards) == {file.name for file in shards.glob("train-*.tar")}
    assert all(len(digest) == 64 for digest in data.shards.values())
    assert (
        run_command(
            door,
            [
                "test",
                folder,
                "--data",
                f"[{shards}/val-*.tar]",
                "-o",
                str(tmp_path / "out"),
                *quick,
            ],
        )
        == 0
    )
    told = capsys.readouterr().out
    assert "20 real and 20 generated images" in told
    assert "copies: AUC" in told
    scores = Scores.read(tmp_path / "out" / "scores.parquet")
    assert len(scores) == len(set(scores.facts["key"])) == 40
    record = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert record["ranking"]["auc"] > 0.95
    assert record["calibration"]["images"] == 160
    assert set(record["slices"]["codec"]) == {"png"}
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["images"] == {
        "done": 40,
        "failed": 0,
    }
    for wrong in ("1", "-3"):
        arguments = [
            "--data",
            f"[{shards}/val-*.tar]",
            "-o",
            str(tmp_path / "out"),
            "--resamples",
            wrong,
        ]
        assert run_command(door, ["test", folder, *arguments, *quick]) == 2
        assert "at least 40" in capsys.readouterr().err
    assert (
        run_command(
            door, ["test", folder, "--data", "[nowhere/*.tar]", "-o", str(tmp_path / "out"), *quick]
        )
        == 2
    )
    assert "no shards at nowhere" in capsys.readouterr().err


def test_a_calibration_on_edited_images_says_so(shards, tmp_path, capsys):
    torch.manual_seed(0)
    view = View("crop", size=32, resize=32)
    Detector("tiny_patches", view=view).save_pretrained(tmp_path / "detector")
    command = ["calibrate", str(tmp_path / "detector"), "--data", f"[{shards}/train-*.tar]"]
    command += ["--workers", "0", "--accelerator", "cpu"]
    assert run_command(door, command) == 0
    assert "of the calibration is called generated" in capsys.readouterr().out
    plain = Calibration.open(tmp_path / "detector")
    assert run_command(door, [*command, "--histories", "0.8"]) == 0
    assert "the calibration, 80 % of which had a random history" in capsys.readouterr().out
    edited = Calibration.open(tmp_path / "detector")
    assert (plain.data.histories, edited.data.histories) == (0, 0.8)
    assert plain.scale > edited.scale, "edits hide what tells the classes apart"
    assert run_command(door, [*command, "--histories", "8"]) == 2
    assert "a history's share, 0 to 1; got 8.0" in capsys.readouterr().err


def test_several_detectors_are_tested_as_one(trained, shards, tmp_path):
    first = Path(trained.trainer.log_dir) / "detector"
    Calibration(scale=3.0, bias=1.0, images=100).save(first)
    other = Detector("tiny_patches", view=View("crop", size=16, resize=16))
    other.calibration = Calibration(scale=0.5, bias=-2.0, images=70)
    other.save_pretrained(tmp_path / "other")
    quick = [
        "--accelerator",
        "cpu",
        "--num_workers",
        "0",
        "--batch_size",
        "16",
        "--data",
        f"[{shards}/val-*.tar]",
    ]
    for name, detectors in (
        ("a", [first]),
        ("b", [tmp_path / "other"]),
        ("both", [first, tmp_path / "other"]),
    ):
        assert (
            run_command(door, ["test", *map(str, detectors), "-o", str(tmp_path / name), *quick])
            == 0
        )
    a, b, both = (Scores.read(tmp_path / name / "scores.parquet") for name in ("a", "b", "both"))
    assert both.logit == pytest.approx((3 * a.logit + 1 + 0.5 * b.logit - 2) / 2)
    record = json.loads((tmp_path / "both" / "summary.json").read_text())
    assert record["calibrated"] is record["verdicts"] is None, "no calibration of the whole"
    assert len(json.loads((tmp_path / "both" / "manifest.json").read_text())["detectors"]) == 2
