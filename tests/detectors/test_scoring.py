"""Scoring of shards: resuming, unreadable images, and several processes."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.fake2m.origin import Origin
from datamodules.fake2m.sharding import shard_images
from datamodules.fake2m.subset_writer import Limits
from detectors.__main__ import main
from detectors.detector import Detector
from detectors.scores import Scores
from engine.cli import run
from images.archives import Member
from images.transforms.views import View

ROOT = Path(__file__).parents[2]
QUICK = ["--accelerator", "cpu", "--workers", "2", "--batch-size", "4", "--resamples", "0"]


def picture(label, number):
    levels = (
        np.random.default_rng(number)
        .normal(128, 10 + 50 * label, (40, 40, 3))
        .clip(0, 255)
        .astype(np.uint8)
    )
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def world(tmp_path):
    """Write two shards of each class, one image truncated, and a detector."""
    for label, name in enumerate(("real", "fake")):
        members = [Member(f"p/{number}", picture(label, number)) for number in range(12)]
        if label:
            members[3] = Member("p/3", picture(label, 3)[:500])
        shard_images(
            members,
            tmp_path / "shards",
            lambda _, label=label, name=name: Origin("val", name, label),
            limits=Limits(samples=6),
        )
    torch.manual_seed(0)
    Detector("tiny_patches", view=View("crop", size=32, resize=32)).save_pretrained(
        tmp_path / "detector"
    )
    return tmp_path


def command(world, *more):
    return [
        "test",
        f"{world}/detector",
        "--data",
        f"[{world}/shards/val-*.tar]",
        "-o",
        f"{world}/out",
        *QUICK,
        *more,
    ]


def test_what_cannot_be_read_is_named_and_the_rest_is_scored(world, capsys):
    damaged = world / "shards" / "val-real-000001.tar"
    damaged.write_bytes(damaged.read_bytes()[:3000])
    assert run(main, command(world)) == 1
    told = capsys.readouterr()
    assert "6 real and 11 generated" in told.out
    assert "3 shards scored" in told.out
    assert "not read: " in told.err
    assert "p/3: damaged" in told.err
    assert "val-real-000001.tar" in told.err
    manifest = json.loads((world / "out" / "manifest.json").read_text())
    assert manifest["counts"] == {"done": 3, "failed": 1, "skipped": 0}
    assert manifest["images"] == {"done": 17, "failed": 1}


def test_a_second_run_scores_only_the_shard_that_has_changed(world, capsys):
    assert run(main, command(world)) == 1
    before = Scores.read(world / "out" / "scores.parquet")
    kept = {file.name: file.stat().st_mtime_ns for file in (world / "out" / "shards").iterdir()}
    assert run(main, command(world)) == 1
    assert "nothing to do: 4 shards" in capsys.readouterr().out
    shutil.copy(world / "shards" / "val-fake-000001.tar", world / "shards" / "val-fake-000000.tar")
    assert run(main, command(world)) == 0
    changed = {
        name
        for name, time in kept.items()
        if (world / "out" / "shards" / name).stat().st_mtime_ns != time
    }
    assert changed == {"val-fake-000000.tar.parquet"}
    after = Scores.read(world / "out" / "scores.parquet")
    assert after.logit[:6].tolist() == after.logit[6:12].tolist() == before.logit[5:11].tolist()


def test_a_calibration_leaves_nothing_beside_the_detector(world, tmp_path):
    detector = Detector.from_pretrained(str(world / "detector"))
    answer = detector.network.network[-1]
    for _ in range(2):  # one of the two calls grain generated
        answer.weight.data *= -1
        answer.bias.data *= -1
        detector.save_pretrained(world / "detector")
        code = run(
            main,
            [
                "calibrate",
                f"{world}/detector",
                "--data",
                f"[{world}/shards/val-*.tar]",
                *QUICK[:-2],
            ],
        )
        if code != 2:
            break
    assert code == 1, "an image could not be read"
    assert (world / "detector" / "calibration.json").is_file()
    assert {path.name for path in world.iterdir()} == {"shards", "detector"}


@pytest.mark.slow
def test_two_processes_write_what_one_does(world):
    assert run(main, command(world)) == 1
    one = {name: (world / "out" / name).read_bytes() for name in ("scores.parquet", "summary.json")}
    shutil.rmtree(world / "out")
    words = [sys.executable, "-m", "detectors", *command(world, "--devices", "2")]
    assert (
        subprocess.run(
            words,
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            check=False,
        ).returncode
        == 1
    )
    assert {name: (world / "out" / name).read_bytes() for name in one} == one
