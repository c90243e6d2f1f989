"""Precomputed backbone features, equal to those of the backbone."""

import io
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from datamodules.fake2m.origin import Origin
from datamodules.fake2m.sharding import shard_images
from datamodules.fake2m.subset_writer import Limits
from datamodules.features import read_features
from detectors.__main__ import main
from detectors.cli import main as sentry
from detectors.detector import Detector, load_detector
from engine.cli import run as run_command
from images.archives import Member
from images.transforms.views import View

ROOT = Path(__file__).parents[2]

run = partial(run_command, main)
CPU = ["--accelerator", "cpu", "--num_workers", "0", "--batch_size", "8"]
VIEW = View("crop", size=32, resize=32)


def picture(label, seed):
    rng = np.random.default_rng(1000 * label + seed)
    levels = rng.integers(
        0, 120 if label else 255, (40, 36, 3), dtype=np.uint8
    )  # generated ones are darker
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    for split, count in (("train", 24), ("val", 10)):
        for name, label in (("photos", 0), ("copies", 1)):
            members = [
                Member(f"{name}/{n}.png", picture(label, n if split == "train" else 500 + n))
                for n in range(count)
            ]
            origin = Origin(split, name, label)
            shard_images(
                members, folder, lambda _, origin=origin: origin, limits=Limits(samples=16)
            )
    torch.manual_seed(0)
    detector = Detector(
        "frozen_linear",
        {"name": "test_vit2", "size": 32},
        VIEW,
        View("crop", size=32, resize=32, random=True),
    )
    detector.save_pretrained(folder / "detector")
    return folder


@pytest.fixture(scope="module")
def kept(world):
    for split, views in (("train", "3"), ("val", "0")):
        data = ["--data", f"[{world}/{split}-*.tar]", "-o", str(world / f"features-{split}")]
        assert run(["features", str(world / "detector"), *data, "--views", views, *CPU]) == 0
    return world


def config(world, target, folder):
    def urls(split, name):
        return (
            f"{world}/features-{split}/{split}-{name}-*.safetensors"
            if folder
            else f"{world}/{split}-{name}-*.tar"
        )

    settings = {
        "seed_everything": 1,
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 3,
            "default_root_dir": str(target),
            "enable_progress_bar": False,
        },
        "model": {
            "detector": {
                "class_path": "detectors.detector.load_detector",
                "init_args": {"name": str(world / "detector")},
            },
            "optimizer": "adam",
            "lr": 0.02,
        },
        "data": {
            "real": [{"urls": urls("train", "photos")}],
            "generated": [{"urls": urls("train", "copies")}],
            "val": [urls("val", "*")],
            "batch_size": 16,
            "epoch_samples": 320,
            "num_workers": 0,
        },
    }
    file = target / "config.yaml"
    file.write_text(yaml.safe_dump(settings))
    return str(file)


def test_kept_features_are_the_backbones(kept):
    detector = load_detector(str(kept / "detector"))
    shard = next((kept / "features-val").glob("*photos*.safetensors"))
    for record, features in read_features(str(shard)):
        levels = np.asarray(
            Image.open(io.BytesIO(picture(0, 500 + int(Path(record["source_path"]).stem))))
        )
        assert record["label"] == 0
        expected = detector.network.features(VIEW(levels, np.random.default_rng(0)).unsqueeze(0))[0]
        assert features.shape == (1, len(expected))
        assert torch.allclose(features[0].float(), expected, atol=2e-2, rtol=2e-2)
    train = next(iter(read_features(str(next((kept / "features-train").glob("*.safetensors"))))))[1]
    assert train.shape[0] == 3
    assert not torch.equal(train[0], train[1]), "another crop each time"
    manifest = json.loads((kept / "features-train" / "manifest.json").read_text())
    assert manifest["counts"] == {"done": 4, "failed": 0, "skipped": 0}
    assert manifest["settings"]["view"]["random"]


def test_the_same_features_are_the_same_bytes_in_every_process(tmp_path):
    script = (
        "import sys, pathlib, torch; from datamodules.features import write_features; "
        "features = torch.arange(6.0).view(1, 2, 3); records = [{'key': 'ü', 'label': 1}]; "
        "write_features(pathlib.Path(sys.argv[1]), features, records, {'views': 2})"
    )
    files = [tmp_path / f"{number}.safetensors" for number in range(2)]
    for number, file in enumerate(files):
        command = [sys.executable, "-c", script, str(file)]
        seeded = os.environ | {"PYTHONHASHSEED": str(number)}  # another order of sets
        subprocess.run(command, cwd=ROOT, env=seeded, check=True)
    assert len({file.read_bytes() for file in files}) == 1
    ((record, features),) = read_features(str(files[0]))
    assert record == {"key": "ü", "label": 1}
    assert torch.equal(features, torch.arange(6.0).view(2, 3))
    assert torch.equal(load_file(files[0])["features"][0], features)


def test_a_linear_layer_trains_on_features_as_on_pictures(kept, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    kept_run = sentry(["fit", "-c", config(kept, tmp_path / "a", True)])
    assert kept_run.trainer.callback_metrics["val/auc"] > 0.95
    saved = str(Path(kept_run.trainer.log_dir) / "detector")
    again = sentry(
        [
            "validate",
            "-c",
            config(kept, tmp_path / "b", False),
            f"--model.detector.init_args.name={saved}",
        ]
    )
    for name in ("val/auc", "val/loss"):
        expected = float(kept_run.trainer.callback_metrics[name])
        assert float(again.trainer.callback_metrics[name]) == pytest.approx(expected, abs=5e-3)


def test_a_stopped_job_goes_on_and_others_are_refused(kept, tmp_path, capsys):
    shutil.copytree(kept / "features-val", tmp_path / "out")
    gone = next((tmp_path / "out").glob("*copies*.safetensors"))
    content = load_file(gone)
    gone.unlink()
    data = ["--data", f"[{kept}/val-*.tar]", "-o", str(tmp_path / "out"), *CPU]
    assert run(["features", str(kept / "detector"), *data]) == 0
    again = load_file(gone)
    assert again.keys() == content.keys()
    assert all(torch.equal(again[key], content[key]) for key in content)
    assert run(["features", str(kept / "detector"), *data, "--views", "2"]) == 2
    assert "holds results of other settings" in capsys.readouterr().err
    Detector("tiny_patches").save_pretrained(tmp_path / "other")
    assert run(["features", str(tmp_path / "other"), *data]) == 2
    assert "frozen_linear only" in capsys.readouterr().err


def test_features_of_another_backbone_are_refused(kept, tmp_path, capsys):
    torch.manual_seed(1)
    Detector("frozen_linear", {"name": "test_vit2", "size": 32}, VIEW).save_pretrained(
        tmp_path / "other"
    )
    features = ["--data", f"[{kept}/features-val/*.safetensors]", "-o", str(tmp_path / "out"), *CPU]
    assert run(["test", str(tmp_path / "other"), *features]) == 2
    assert "features of another backbone" in capsys.readouterr().err
    assert run(["test", str(kept / "detector"), *features, "--resamples", "0"]) == 0
    mixed = [
        "--data",
        f"[{kept}/features-val/*.safetensors,{kept}/val-*.tar]",
        "-o",
        str(tmp_path / "out"),
        *CPU,
    ]
    assert run(["test", str(kept / "detector"), *mixed]) == 2
    assert "shards of images and of features" in capsys.readouterr().err
    (tmp_path / "val-broken-000000.safetensors").write_bytes(b"x" * 50)
    broken = ["--data", f"[{tmp_path}/val-*.safetensors]", "-o", str(tmp_path / "out"), *CPU]
    assert run(["test", str(kept / "detector"), *broken]) == 2
    assert "not a shard of features, or damaged" in capsys.readouterr().err
