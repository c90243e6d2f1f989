"""Ensembles: calibrated as a whole, saved as a folder, and opened elsewhere."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from detectors.__main__ import main
from detectors.calibration import Calibration
from detectors.calibration_record import Output
from detectors.crop_rule import CropRule
from detectors.detector import Detector
from detectors.ensemble import Ensemble, Judgement, Member
from detectors.operating_points import OperatingPoint
from detectors.stable import ROUNDS, stable_judgement, stable_views
from engine.cli import run
from images.transforms.views import View

QUICK = ["--accelerator", "cpu", "--workers", "0", "--batch-size", "16"]


def member(seed, sign, folder):
    """Write a small detector that ranks the copies of the shards above the photos."""
    torch.manual_seed(seed)
    detector = Detector("tiny_patches", view=View("crop", size=32, resize=32))
    detector.network.network[-1].weight.data *= sign
    detector.network.network[-1].bias.data *= sign
    detector.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def members(shards, tmp_path):
    """Two detectors, each with the sign by which calibration accepts it."""
    folders = []
    for seed in (0, 1):
        for sign in (1, -1):
            folder = member(seed, sign, tmp_path / f"member{seed}")
            command = ["calibrate", folder, "--data", f"[{shards}/train-*.tar]", *QUICK]
            if run(main, command) == 0:
                break
        folders.append(folder)
    return folders


def test_an_ensemble_is_calibrated_saved_and_used(shards, members, tmp_path, capsys):
    command = ["calibrate", *members, "--data", f"[{shards}/train-*.tar]", *QUICK]
    assert run(main, command) == 2
    assert "several detectors need -o" in capsys.readouterr().err
    assert run(main, [*command, "-o", f"{tmp_path}/whole", "--max-fpr", "0.05", "0.2"]) == 0
    assert "is called generated with a probability of at most 20 %" in capsys.readouterr().out
    assert {file.name for file in (tmp_path / "whole").iterdir()} == {"ensemble.json"}
    record = json.loads((tmp_path / "whole" / "ensemble.json").read_text())
    assert [one["name"] for one in record["members"]] == ["../member0", "../member1"]
    data = record["calibration"]["data"]
    assert data["real"] + data["generated"] == pytest.approx(80, abs=1), "the half not fitted on"

    # it moves with its members
    (tmp_path / "elsewhere").mkdir()
    for name in ("whole", "member0", "member1"):
        shutil.move(tmp_path / name, tmp_path / "elsewhere" / name)
    whole = str(tmp_path / "elsewhere" / "whole")
    test = ["test", whole, "--data", f"[{shards}/val-*.tar]", "-o", f"{tmp_path}/out", *QUICK]
    assert run(main, [*test, "--max-fpr", "0.2", "--resamples", "0"]) == 0
    tested = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert tested["calibrated"]["calibration_error"] < 1
    assert tested["max_fpr"] == 0.2

    # scan gives the same verdicts by the same rule
    photo = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "a.png")
    scan = ["scan", f"{tmp_path}/a.png", "-o", f"{tmp_path}/s.csv", "--weights", whole, "--html"]
    assert run(main, [*scan, "--accelerator", "cpu", "--workers", "0"]) == 0
    assert "P assumes that 50 %" in capsys.readouterr().out
    with (tmp_path / "s.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    ensemble = Ensemble.open([whole])
    outputs = []
    for detector in ensemble.detectors.values():
        outputs += detector.outputs_of([detector.view(photo, np.random.default_rng(0))])
    expected = ensemble.judge(outputs)
    assert row["verdict"] == expected.verdict
    assert float(row["probability"]) == pytest.approx(expected.probability, abs=1e-6)

    # a member with other weights is refused
    other = Detector("tiny_patches", view=View("crop", size=32, resize=32))
    other.save_pretrained(tmp_path / "elsewhere" / "member1")
    with pytest.raises(ValueError, match=r"\.\./member1 has other weights than when"):
        Ensemble.open([whole])
    (tmp_path / "elsewhere" / "whole" / "ensemble.json").write_text('{"format": 1}')
    assert run(main, test) == 2
    assert "ensemble.json: damaged" in capsys.readouterr().err


def calibrated(scale, bias, low, high, max_fpr=0.05):
    return Calibration(scale, bias, images=100, points=(OperatingPoint(max_fpr, low, high),))


def judge(whole, *outputs):
    detectors = {"a": Detector("tiny_patches"), "b": Detector("tiny_patches")}
    detectors["a"].calibration = calibrated(1, 0, -1.0, 1.0)
    detectors["b"].calibration = calibrated(2, 0, -1.0, 1.0)
    members = (Member("a", "", 1.0, 0.0), Member("b", "", 2.0, 0.5))
    return Ensemble(detectors, members, whole).judge(outputs)


def test_without_a_common_calibration_there_is_no_p():
    assert judge(None, Output(3.0), Output(3.0)) == Judgement("generated", "", None, 4.75)
    apart = judge(None, Output(3.0), Output(-3.0))
    assert (apart.verdict, apart.reason) == ("unsure", "the detectors disagree")
    assert apart.probability is None


def test_the_whole_is_judged_by_its_own_thresholds():
    whole = calibrated(1, 0, -9.0, 4.0)
    judged = judge(whole, Output(3.0), Output(3.0))
    assert (judged.verdict, judged.logit) == ("generated", 4.75)
    assert judged.probability == pytest.approx(1 / (1 + np.exp(-4.75)))
    one_outside = judge(whole, Output(3.0, (2.0, 0.5)), Output(3.0, (0.2, 1.5)))
    assert (one_outside.verdict, one_outside.reason) == (
        "unsure",
        "unlike the images of the calibration",
    )


def test_stable_is_unsure_where_a_view_has_another_verdict():
    rgb = np.full((96, 96, 3), 128, np.uint8)
    rgb[32:64, 32:64] = np.random.default_rng(0).integers(0, 255, (32, 32, 3))
    detector = Detector("tiny_patches", view=View("crop", size=32, resize=32))
    views = stable_views(detector, rgb)
    assert len(views) == len(ROUNDS) == 6
    assert all((a == b).all() for a, b in zip(views, stable_views(detector, rgb), strict=True))
    assert (views[0].permute(1, 2, 0).numpy() == rgb[32:64, 32:64]).all()
    assert views[1].float().std() < views[0].float().std() > views[2].float().std()
    detector.calibration = Calibration(crops=CropRule("tiles"))
    grids = stable_views(detector, rgb)
    assert grids[0].shape == (9, 3, 32, 32)
    assert not torch.equal(grids[1][0], grids[2][0]), "the grid is elsewhere"
    first = Judgement("real", "", 0.1, -2.0)
    assert stable_judgement([first]) == stable_judgement([first] * 6) == first
    flips = [first] * 5 + [Judgement("generated", "", 0.9, 2.0)]
    assert stable_judgement(flips) == Judgement("unsure", "generated after JPEG 90", 0.1, -2.0)
