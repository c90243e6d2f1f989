"""Robustness sweep: clean metrics, strong edits, resuming, and codec alignment."""

import csv
import io

import numpy as np
import pytest
import torch
from PIL import Image

import detectors.robustness
from datamodules.fake2m.origin import Origin
from datamodules.fake2m.sharding import shard_images
from detectors.__main__ import main
from detectors.calibration import Calibration
from detectors.detector import Detector, load_detector
from detectors.operating_points import OperatingPoint
from detectors.robustness import row, row_text, tracks
from detectors.scores import Scores
from detectors.scoring import Question, ScoreJob, find_stored, score
from engine.cli import run
from engine.devices import DeviceOptions
from engine.job import JobOptions
from images.archives import Member
from images.transforms.codecs import JPEG
from images.transforms.filters import Blur, Noise
from images.transforms.views import View


class Grain(torch.nn.Module):
    """Network that calls grainy images generated."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(60.0))

    def forward(self, images):
        grain = (images[..., 1:] - images[..., :-1]).abs().mean(dim=(1, 2, 3))
        return self.scale * (grain - 0.1)


@pytest.fixture
def shards(tmp_path):
    for label, sigma in ((0, 2.0), (1, 60.0)):
        members = []
        for number in range(24):
            levels = (
                np.random.default_rng(number)
                .normal(128, sigma, (48 - 8 * label, 48, 3))
                .clip(0, 255)
                .astype(np.uint8)
            )
            buffer = io.BytesIO()
            Image.fromarray(levels).save(
                buffer, format="PNG" if label else "JPEG", **({} if label else {"quality": 88})
            )
            members.append(Member(f"p/{number}", buffer.getvalue()))
        shard_images(
            members,
            tmp_path,
            lambda path, label=label: Origin(
                "val", ("real", "fake")[label], label, generator="noise"
            ),
        )
    return tmp_path


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.setitem(detectors.detector.NETWORKS, "grain", Grain)
    detector = Detector("grain", view=View("crop", size=32, resize=32))
    detector.calibration = Calibration(images=10, points=(OperatingPoint(0.05, -0.4, 0.4),))
    detector.save_pretrained(tmp_path / "weights")
    return str(tmp_path / "weights")


def test_a_sweep_with_curves_that_goes_on_where_it_stopped(
    shards, weights, tmp_path, monkeypatch, capsys
):
    few = {"blur": {"0.5": Blur(0.5), "4.0": Blur(4.0)}}
    monkeypatch.setattr(detectors.robustness, "ROBUSTNESS", few)
    command = [
        "robustness",
        weights,
        "--data",
        f"[{shards}/val-*.tar]",
        "-o",
        str(tmp_path / "out"),
    ]
    quick = ["--accelerator", "cpu", "--num_workers", "0"]
    assert run(main, [*command, *quick]) == 0
    told = capsys.readouterr().out
    assert "track native: 24 + 24 images, auc 1.000 [0.8" in told
    assert "verdicts changed 0.500 [0.3" in told
    with (tmp_path / "out" / "robustness.csv").open(newline="") as stream:
        rows = {(row["kind"], row["level"]): row for row in csv.DictReader(stream)}
    assert list(rows) == [
        ("track", "native"),
        ("track", "aligned"),
        ("track", "all JPEG"),
        ("blur", "0.5"),
        ("blur", "4.0"),
    ]
    assert float(rows["track", "native"]["verdicts_changed"]) == 0
    assert float(rows["blur", "4.0"]["generated_accuracy"]) == 0, "no grain is left"
    assert float(rows["blur", "4.0"]["verdicts_changed"]) == 0.5
    assert float(rows["blur", "4.0"]["generated_found"]) == 0
    assert float(rows["blur", "4.0"]["generated_found_high"]) > 0.1, "of 24 images"
    assert (rows["blur", "4.0"]["real"], rows["blur", "4.0"]["generated"]) == ("24", "24")
    assert float(rows["blur", "4.0"]["generated_changed"]) == 1
    assert float(rows["blur", "4.0"]["real_changed"]) == 0
    assert float(rows["blur", "4.0"]["real_changed_high"]) == pytest.approx(0.142, abs=0.001)
    assert 0 < float(rows["blur", "4.0"]["generated_changed_low"]) < 1
    assert float(rows["blur", "4.0"]["generated_unsure_high"]) > 0.1
    assert rows["blur", "4.0"]["wrong"] == "", "none is called generated"
    native = rows["track", "native"]
    assert (float(native["prevalence"]), float(native["wrong"])) == (0.5, 0)
    assert 0.8 < float(native["auc_low"]) < float(native["auc_high"]) == 1
    assert float(native["auc_change_low"]) < 0 < float(native["auc_change_high"])
    assert "<svg" in (tmp_path / "out" / "robustness.svg").read_text()

    scored = []
    monkeypatch.setattr(Grain, "forward", lambda *_: scored.append(1))
    assert run(main, [*command, *quick]) == 0
    assert not scored, "every edit was scored before"
    assert "finished already, nothing to do: 5 edits" in capsys.readouterr().out
    assert run(main, [*command, *quick, "--prevalence", "2"]) == 2
    assert "--prevalence is a share between 0 and 1, got 2" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setitem(detectors.detector.NETWORKS, "grain", Grain)
    other = Detector("grain", view=View("crop", size=32, resize=32))
    other.network.scale.data += 1
    other.save_pretrained(tmp_path / "weights")
    assert run(main, [*command, *quick]) == 2
    assert "holds results of other settings or weights" in capsys.readouterr().err


def test_wrong_verdicts_are_of_the_prevalence_that_is_asked_for():
    rows = [{"label": n % 2, "logit": n - 20.0, "key": f"{n}"} for n in range(40)]
    scores = Scores.of([*rows, *({"label": 0, "logit": -9.0, "key": f"x{n}"} for n in range(20))])
    calibration = Calibration(images=40, points=(OperatingPoint(0.05, -5.0, 5.0),))
    rare = row("blur", "1", scores, scores, calibration, 0.1)
    accused, found = 7 / 40, 7 / 20
    assert (rare["real_accused"], rare["generated_found"]) == (accused, found)
    assert rare["wrong"] == pytest.approx(0.9 * accused / (0.9 * accused + 0.1 * found))
    assert rare["wrong_low"] < rare["wrong"] < rare["wrong_high"]
    even = row("blur", "1", scores, scores, calibration)
    assert (even["prevalence"], even["wrong"] < rare["wrong"]) == (0.5, True)
    assert "wrong among them at a prevalence of 0.1 0.818" in row_text(rare)


def test_without_a_calibration_there_are_no_verdicts():
    clean = Scores.of([{"label": n % 2, "logit": n % 7 - 3.0, "key": f"{n}"} for n in range(40)])
    made = row("blur", "1", clean, clean, Calibration())
    for name in (
        "generated_found",
        "real_accused",
        "real_accused_low",
        "verdicts_changed",
        "verdicts_changed_low",
        "real_unsure_high",
        "max_fpr",
        "wrong",
        "wrong_low",
    ):
        assert made[name] is None
    assert made["generated_accuracy"] is not None


def test_tracks_give_both_classes_one_size_and_the_real_ones_qualities(shards):
    made = tracks([f"{shards}/val-*.tar"])
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (48, 60, 3), dtype=np.uint8)
    assert np.array_equal(made["native"](rgb, rng), rgb)
    assert made["aligned"](rgb, rng).shape == (40, 40, 3)
    assert set(made["aligned"].edits[1].qualities) == {88}
    assert np.array_equal(made["all JPEG"](rgb, rng), JPEG(96)(rgb, rng))


def test_an_edit_is_the_same_for_a_picture_whatever_the_order(shards, weights, tmp_path):
    detector, found = load_detector(weights), []
    for batch_size, workers in ((4, 0), (16, 3)):
        options = JobOptions(DeviceOptions("cpu"), batch_size=batch_size, workers=workers)
        folder = tmp_path / f"batches of {batch_size}"
        question = Question(
            "noise", detector, find_stored([detector], [f"{shards}/val-*.tar"]), Noise(10.0)
        )
        answers = score(ScoreJob("test", folder, options), [question], folder, {})
        assert len(answers.report.rows) == 1
        found.append(
            dict(
                zip(
                    answers.scores["noise"].facts["key"], answers.scores["noise"].logit, strict=True
                )
            )
        )
    assert found[0].keys() == found[1].keys()
    assert all(found[0][key] == pytest.approx(found[1][key], abs=1e-4) for key in found[0])
