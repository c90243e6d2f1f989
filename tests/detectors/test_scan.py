"""Scan of a folder with damaged and foreign files, through the command."""

import csv
import json
import os
import shutil
import time
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from detectors.__main__ import main
from detectors.calibration import Calibration
from detectors.detector import Detector
from detectors.operating_points import OperatingPoint
from engine.cli import run as run_command
from images.transforms.views import View

run = partial(run_command, main)

POINTS = (OperatingPoint(0.01, None, 0.03), OperatingPoint(0.05, -0.0226, -0.0024))
"""At 5 % unsure for P from 0.4 to 0.6, at scale 40 and bias 0.5."""


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    detector = Detector("tiny_patches", view=View("crop", size=32, resize=32))
    detector.calibration = Calibration(scale=40.0, bias=0.5, images=100, points=POINTS)
    detector.save_pretrained(tmp_path / "weights")
    return tmp_path / "weights"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for number, name in enumerate(
        ["a.png", "b.JPG", "deep/c.webp", "deep/ünï côdé.bmp", "grey.png"]
    ):
        levels = np.random.default_rng(number).integers(
            0, 255, (40 + number, 50, 3), dtype=np.uint8
        )
        image = Image.fromarray(levels)
        (image.convert("L") if name.startswith("grey") else image).save(folder / name)
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:200])
    (folder / "notes.txt").write_text("hello")
    return folder


def table(path):
    with path.open(newline="") as stream:
        return {row["file"]: row for row in csv.DictReader(stream)}


def scan(photos, output, weights, *more):
    how = ["--accelerator", "cpu", "--num_workers", "0", "--weights", str(weights), *more]
    return run(["scan", str(photos), "-o", str(output), *how])


def test_every_picture_has_a_line_and_broken_ones_a_reason(photos, weights, tmp_path, capsys):
    assert scan(photos, tmp_path / "out.csv", weights, "--html") == 1
    told = capsys.readouterr()
    assert "skipped notes.txt" in told.err
    assert "broken.png" in told.err
    rows = table(tmp_path / "out.csv")
    assert set(rows) == {
        "a.png",
        "b.JPG",
        "deep/c.webp",
        "deep/ünï côdé.bmp",
        "grey.png",
        "broken.png",
    }
    assert rows["broken.png"]["error"]
    assert not rows["broken.png"]["verdict"]
    detector = Detector.from_pretrained(str(weights))
    for name, row in rows.items():
        if name == "broken.png":
            continue
        rgb = np.asarray(Image.open(photos / name).convert("RGB"))
        expected = float(
            detector.probability(torch.from_numpy(rgb.copy()).permute(2, 0, 1).unsqueeze(0) / 255)
        )
        assert float(row["probability"]) == pytest.approx(expected, abs=1e-5)
        assert row["verdict"] == detector.calibration.verdict(float(row["logit"]))
        assert float(row["prior"]) == 0.5
        assert (int(row["height"]), int(row["width"])) == rgb.shape[:2]
    page = (tmp_path / "out.html").read_text()
    assert page.count("<figure>") == 5
    assert page.count("<img") == 10, "each picture and its heat map"
    assert 'src="http' not in page
    assert json.loads((tmp_path / "out.csv.run" / "manifest.json").read_text())["counts"] == {
        "done": 5,
        "failed": 1,
        "skipped": 1,
    }


def test_a_stopped_scan_goes_on(photos, weights, tmp_path, monkeypatch):
    (photos / "broken.png").unlink()
    assert scan(photos, tmp_path / "whole.csv", weights) == 0
    journal = tmp_path / "again.csv.run" / "journal.jsonl"
    real, calls = Detector.forward, []

    def stops(self, images):
        calls.append(len(images))
        if len(calls) == 3:
            while journal.read_bytes().count(b"\n") < 2:  # threads write the first two results
                time.sleep(0.01)
            raise KeyboardInterrupt
        return real(self, images)

    monkeypatch.setattr(Detector, "forward", stops)
    assert scan(photos, tmp_path / "again.csv", weights, "--batch_size", "1") == 130
    assert not (tmp_path / "again.csv").exists()
    assert scan(photos, tmp_path / "again.csv", weights, "--batch_size", "1") == 0
    assert len(calls) == 3 + 3, "two were done already"
    found, expected = table(tmp_path / "again.csv"), table(tmp_path / "whole.csv")
    assert list(found) == list(expected)
    for name, row in found.items():
        assert float(row["logit"]) == pytest.approx(float(expected[name]["logit"]), abs=1e-5)


def test_mistakes_are_one_line(photos, weights, tmp_path, capsys):
    def told(*arguments):
        assert scan(*arguments) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    (tmp_path / "there.csv").write_text("mine")
    assert "exists already" in told(photos, tmp_path / "there.csv", weights)
    assert (tmp_path / "there.csv").read_text() == "mine"
    assert "no such file or folder" in told(tmp_path / "nowhere", tmp_path / "x.csv", weights)
    assert "no model at" in told(photos, tmp_path / "x.csv", tmp_path / "none")
    (photos / "broken.png").unlink()
    scan(photos, tmp_path / "x.csv", weights)
    capsys.readouterr()
    calibrated = tmp_path / "calibrated"
    shutil.copytree(weights, calibrated)
    (calibrated / "calibration.json").unlink()
    assert "other settings or weights" in told(photos, tmp_path / "x.csv", calibrated)
    shutil.copytree(weights, tmp_path / "cut")
    os.truncate(tmp_path / "cut" / "model.safetensors", 100)
    assert "damaged" in told(photos, tmp_path / "y.csv", tmp_path / "cut")


def test_verdicts_and_p_are_as_asked(photos, weights, tmp_path, capsys):
    (photos / "broken.png").unlink()
    assert scan(photos, tmp_path / "plain.csv", weights) == 0
    told = capsys.readouterr().out
    assert "the thresholds bound" in told or "is called generated with a probability" in told
    assert "P assumes that 50 % of the images are generated" in told
    asked = ("--max-fpr", "0.01", "--prevalence", "0.1", "--html")
    assert scan(photos, tmp_path / "asked.csv", weights, *asked) == 0
    assert "P assumes that 10 % of the images are generated" in capsys.readouterr().out
    assert "P assumes that 10 %" in (tmp_path / "asked.html").read_text()
    plain, other = table(tmp_path / "plain.csv"), table(tmp_path / "asked.csv")
    for name, row in other.items():
        assert row["prior"] == "0.1"
        odds = [float(r["probability"]) / (1 - float(r["probability"])) for r in (plain[name], row)]
        assert odds[0] == pytest.approx(9 * odds[1])
        expected = "generated" if float(row["logit"]) > 0.03 else "unsure"
        assert row["verdict"] == expected
    assert scan(photos, tmp_path / "asked.csv", weights) == 2, "other settings"
    capsys.readouterr()
    assert scan(photos, tmp_path / "z.csv", weights, "--max-fpr", "0.2") == 2
    assert "kept are: 0.01, 0.05" in capsys.readouterr().err


def test_stable_verdicts_are_those_of_every_crop(photos, weights, tmp_path):
    (photos / "broken.png").unlink()
    assert scan(photos, tmp_path / "plain.csv", weights) == 0
    assert scan(photos, tmp_path / "stable.csv", weights, "--stable", "--batch_size", "4") == 0
    plain, stable = table(tmp_path / "plain.csv"), table(tmp_path / "stable.csv")
    flipped = [name for name, row in stable.items() if row["verdict"] != plain[name]["verdict"]]
    assert 0 < len(flipped) < len(plain)
    assert all(" after " in stable[name]["reason"] for name in flipped)
    for name, row in stable.items():
        assert row["verdict"] in ("unsure", plain[name]["verdict"])
        assert float(row["logit"]) == pytest.approx(float(plain[name]["logit"]), abs=1e-5)


def test_several_detectors_judge_together(photos, weights, tmp_path, capsys):
    torch.manual_seed(1)
    other = Detector(
        "patches", {"width": 8, "depths": [1, 1, 1, 1]}, View("resize_crop", size=24, resize=32)
    )
    other.save_pretrained(tmp_path / "other")
    assert scan(photos, tmp_path / "x.csv", weights, str(tmp_path / "other")) == 2
    assert "has no calibration" in capsys.readouterr().err
    assert scan(photos, tmp_path / "x.csv", weights, str(weights)) == 2
    assert "given twice" in capsys.readouterr().err
    other.calibration = Calibration(
        scale=2.0, bias=-0.1, images=50, points=(OperatingPoint(0.05, -0.05, 0.15),)
    )
    other.save_pretrained(tmp_path / "other")
    assert scan(photos, tmp_path / "both.csv", weights, str(tmp_path / "other"), "--html") == 1
    assert sorted(path.name for path in tmp_path.glob("both*")) == [
        "both.csv",
        "both.csv.run",
        "both.html",
    ]
    assert (tmp_path / "both.html").read_text().count("<img") == 15, (
        "each picture and two heat maps"
    )
    both = table(tmp_path / "both.csv")
    assert (
        scan(photos, tmp_path / "first.csv", weights)
        == scan(photos, tmp_path / "second.csv", tmp_path / "other")
        == 1
    )
    first, second = table(tmp_path / "first.csv"), table(tmp_path / "second.csv")
    assert list(both) == list(first) == list(second)
    for name, row in both.items():
        if name == "broken.png":
            assert row["error"] == first[name]["error"]
            continue
        probabilities = [float(part[name]["probability"]) for part in (first, second)]
        odds = [np.log(p / (1 - p)) for p in probabilities]
        assert row["probability"] == row["prior"] == "", "not calibrated as a whole"
        assert float(row["logit"]) == pytest.approx(np.mean(odds), abs=1e-4)
        verdicts = {part[name]["verdict"] for part in (first, second)}
        assert row["verdict"] == (verdicts.pop() if len(verdicts) == 1 else "unsure")


def test_what_a_file_says_of_itself_stands_beside_the_verdict(photos, weights, tmp_path, capsys):
    text = PngInfo()
    text.add_text("parameters", "a dog, Steps: 20")
    with Image.open(photos / "a.png") as image:
        image.save(photos / "said.png", pnginfo=text)
        image.quantize().save(
            photos / "film.gif", save_all=True, append_images=[Image.new("P", image.size)]
        )
    assert scan(photos, tmp_path / "out.csv", weights, "--html", "--json") == 1
    told = capsys.readouterr()
    rows = table(tmp_path / "out.csv")
    assert rows["said.png"]["parameters"] == "Stable Diffusion WebUI: a dog, Steps: 20"
    same = ("verdict", "probability", "logit")
    assert [rows["said.png"][key] for key in same] == [rows["a.png"][key] for key in same]
    assert rows["film.gif"]["notes"] == "the first of its 2 frames is read"
    assert not rows["a.png"]["parameters"]
    counts = json.loads(told.out)
    assert (counts["says_generated"], counts["with_c2pa"], counts["with_notes"]) == (1, 0, 1)
    assert "such as film.gif: the first of its 2 frames is read" in told.err
    assert "said.png; this is no part of the verdicts" in told.err
    page = (tmp_path / "out.html").read_text()
    assert "parameters: Stable Diffusion WebUI: a dog, Steps: 20" in page
