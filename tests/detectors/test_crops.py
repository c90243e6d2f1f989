"""Detectors that judge several crops of an image, and what these show that one does not."""

import csv
import io
import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from checkpoints.folders import ROOT
from datamodules.fake2m.origin import Origin
from datamodules.fake2m.sharding import shard_images
from detectors.__main__ import main
from detectors.calibration import Calibration
from detectors.crop_rule import CropRule
from detectors.detector import Detector
from detectors.heat_maps import MAX_WINDOWS, heat_image, heat_map, windows
from detectors.scores import Scores
from engine.cli import run as run_command
from images.archives import Member
from images.io import to_uint8
from images.transforms.views import View
from tiny.dataset import PortraitDataset

run = partial(run_command, main)

SHIPPED = ROOT / "checkpoints" / "tiny" / "detector"

JOB = ["--accelerator", "cpu", "--workers", "0"]

COUNT, SCANNED = 20, 2
"""Images of each class to calibrate on, and to scan."""

PORTRAITS = 45
"""Portraits that posters are made of."""


def table(path):
    with path.open(newline="") as stream:
        return {row["file"]: row for row in csv.DictReader(stream)}


def rgb_of(images):
    return to_uint8(images).permute(0, 2, 3, 1).numpy()


@pytest.fixture(scope="module")
def posters():
    """Posters of nine drawn portraits, and the same with a generated one in a corner."""
    from diffusers import AutoencoderKL

    portraits = PortraitDataset(1_200_000, PORTRAITS, 1).__getitems__([*range(PORTRAITS)])
    drawn = torch.stack([item["image"] for item in portraits])
    autoencoder = AutoencoderKL.from_pretrained(ROOT / "checkpoints/tiny/sd-a1/vae").eval()
    with torch.no_grad():
        made = rgb_of(autoencoder(2 * drawn - 1).sample / 2 + 0.5)
    drawn = rgb_of(drawn)
    rng = np.random.default_rng(0)
    real, tampered = [], []
    for index in range(COUNT + SCANNED):
        chosen = [index, *rng.choice(PORTRAITS, 8, replace=False)]
        rows = drawn[chosen].reshape(3, 3, 64, 64, 3)
        poster = np.concatenate(np.concatenate(rows, axis=1), axis=1)
        real.append(poster)
        tampered.append(poster.copy())
        tampered[-1][:64, :64] = made[index]
    return real, tampered


@pytest.fixture(scope="module")
def center(tmp_path_factory):
    """Copy of the shipped detector that judges the center of an image at its own pixels."""
    folder = tmp_path_factory.mktemp("center") / "detector"
    shutil.copytree(SHIPPED, folder)
    config = json.loads((folder / "config.json").read_text())
    config["view"]["policy"] = "crop"
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def calibrated(posters, center, tmp_path_factory):
    """Copy of that detector, calibrated on tiles of posters."""
    folder = tmp_path_factory.mktemp("posters")
    for label, images in enumerate(posters):
        members = []
        for number, rgb in enumerate(images[:COUNT]):
            buffer = io.BytesIO()
            Image.fromarray(rgb).save(buffer, "BMP")
            members.append(Member(f"{label}/{number}.bmp", buffer.getvalue()))
        origin = Origin("calibration", f"of{label}", label, family="gan" if label else "real")
        shard_images(members, folder, lambda path, origin=origin: origin)
    shutil.copytree(center, folder / "detector")
    data = ["--data", f"[{folder}/calibration-*.tar]", *JOB]
    rule = ["--crops", "tiles", "--pool", "max"]
    assert run(["calibrate", str(folder / "detector"), *data, "--max-fpr", "0.05", *rule]) == 0
    return folder / "detector", data


def test_a_tampered_corner_is_seen_by_tiles_and_not_by_the_center(
    posters, center, calibrated, tmp_path
):
    detector, data = calibrated
    (tmp_path / "posters").mkdir()
    for kind, images in zip(("real", "tampered"), posters, strict=True):
        for number, rgb in enumerate(images[COUNT:]):
            Image.fromarray(rgb).save(tmp_path / "posters" / f"{kind}{number}.png")
    rows = {}
    for name, weights in (("center", center), ("tiles", detector)):
        how = ["-o", str(tmp_path / f"{name}.csv"), "--weights", str(weights), *JOB, "--html"]
        assert run(["scan", str(tmp_path / "posters"), *how]) == 0
        rows[name] = table(tmp_path / f"{name}.csv")
    for number in range(SCANNED):
        real, tampered = f"real{number}.png", f"tampered{number}.png"
        of_center = rows["center"]
        logits = [float(of_center[name]["logit"]) for name in (real, tampered)]
        assert logits[0] == pytest.approx(logits[1], abs=1e-4), "the center has no corner"
        assert of_center[tampered]["verdict"] != "generated"
        assert rows["tiles"][real]["verdict"] != "generated"
        assert rows["tiles"][tampered]["verdict"] == "generated"
    assert "tiles that cover it: the highest logit" in (tmp_path / "tiles.html").read_text()
    # test reads the same crops from shards
    assert run(["test", str(detector), *data, "-o", str(tmp_path / "out"), "--resamples", "0"]) == 0
    scores = Scores.read(tmp_path / "out" / "scores.parquet")
    opened = Detector.from_pretrained(detector)
    first = opened.logits_of([opened.view_of(posters[1][0])])[0]
    keys = scores.facts["source_path"].tolist()
    assert scores.logit[keys.index("1/0.bmp")] == pytest.approx(first, abs=1e-4)
    assert scores.logit[scores.label == 1].min() > scores.logit[scores.label == 0].max()


def test_a_heat_map_shows_the_corner(posters, calibrated):
    detector = Detector.from_pretrained(calibrated[0])
    heat = heat_map(detector, posters[1][COUNT])
    assert heat.shape == (192, 192)
    assert heat[:32, :32].mean() > 0.5, "windows over the border of the corner see both"
    assert heat[:64, :64].mean() > 10 * heat[64:, 64:].mean()
    assert heat[64:, 64:].mean() < 0.05
    assert heat_map(detector, posters[0][COUNT])[:64, :64].mean() < 0.1
    wide = np.tile(posters[1][COUNT], (1, 4, 1))
    assert heat_image(wide, detector).shape == (128, 512, 3), "rendered small"


def test_windows_become_fewer_with_the_size_of_the_image():
    assert len(windows(192, 192, 64)) == 5 * 5
    assert len(windows(1024, 1024, 64)) == MAX_WINDOWS, "no overlap"
    assert windows(1025, 1024, 64) == []
    detector = Detector("tiny_patches", view=View("crop", size=8, resize=8)).eval()
    assert heat_map(detector, np.zeros((200, 200, 3), np.uint8)) is None


def test_other_crops_than_those_of_the_calibration_are_refused(calibrated, tmp_path, capsys):
    detector, data = calibrated

    def refused(*arguments):
        assert run([*map(str, arguments), *JOB]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    where = ("-o", tmp_path / "x", "--crops", "five")
    for said in (
        refused("scan", SHIPPED.parent / "rid", "--weights", detector, *where),
        refused("test", detector, *data[:2], *where),
        refused("robustness", detector, *data[:2], *where),
    ):
        assert "was calibrated with --crops tiles --pool max, not --crops five --pool mean" in said
    assert "not --crops center" in refused(
        "test", detector, *data[:2], "-o", tmp_path / "x", "--crops", "center"
    )
    where = ("-o", tmp_path / "x")
    assert "add --crops five or" in refused("test", detector, *data[:2], *where, "--pool", "max")
    assert "--pool is mean, max or top-K" in refused(
        "test", detector, *data[:2], *where, "--crops", "tiles", "--pool", "top"
    )
    both = ("calibrate", detector, SHIPPED, *data[:2], *where, "--crops", "tiles", "--pool", "max")
    assert f"{SHIPPED} was calibrated with --crops center" in refused(*both)


def test_a_calibration_keeps_its_crops_and_leaves_the_usual_file_as_it_was(tmp_path):
    for rule in (CropRule(), CropRule("five", "top-2")):
        Calibration(images=3, crops=rule).save(tmp_path)
        assert Calibration.open(tmp_path).crops == rule
        written = (tmp_path / "calibration.json").read_text()
        assert ('"crops"' in written) == (rule != CropRule())
    text = written.replace("top-2", "most")
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(ValueError, match="--pool is mean, max or top-K"):
        Calibration.open(tmp_path)


def test_logits_of_crops_are_pooled_as_asked():
    logits = np.array([3.0, -1.0, 7.0, 0.0])
    assert CropRule("tiles").pooled(logits) == 2.25
    assert CropRule("tiles", "max").pooled(logits) == 7
    assert CropRule("tiles", "top-2").pooled(logits) == 5
    assert CropRule("five", "top-9").pooled(logits) == 2.25


def test_features_of_crops_are_their_means_in_whatever_batches():
    torch.manual_seed(0)
    detector = Detector("tiny_patches", view=View("crop", size=16, resize=16)).eval()
    detector.calibration = Calibration(crops=CropRule("tiles", "max"))
    rng = np.random.default_rng(0)
    sizes = ((80, 70), (16, 16), (40, 100))
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    logits, features = detector.logits_and_features_of([detector.view_of(rgb) for rgb in images])
    single = Detector("tiny_patches", view=View("crop", size=16, resize=16)).eval()
    single.load_state_dict(detector.state_dict())
    for rgb, logit, row in zip(images, logits, features, strict=True):
        alone, of_crops = single.logits_and_features_of(list(detector.view_of(rgb)))
        assert logit == pytest.approx(max(alone), abs=1e-6)
        np.testing.assert_allclose(row, of_crops.mean(axis=0), rtol=1e-4, atol=1e-6)
    assert detector.calibration == replace(Calibration(), crops=CropRule("tiles", "max"))
