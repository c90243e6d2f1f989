"""Separator from images unlike the calibration's: rate, gain, file, tensors, and the option."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from datamodules.fake2m.origin import REAL, Origin
from datamodules.fake2m.sharding import shard_images
from datamodules.shards import read_shards
from detectors.__main__ import main as door
from detectors.detector import Detector, load_detector
from detectors.domain import FILE, RATE, Domain
from detectors.guarantee import domain_words
from detectors.scores import Scores
from detectors.uncertainty import resampling_units
from engine.cli import run as run_command
from engine.files import file_digest
from images.archives import Member
from images.io import encode_as
from images.transforms.views import View
from tests.detectors.test_domain import drawn

QUICK = ["--accelerator", "cpu", "--workers", "0", "--batch-size", "16"]


def others(rng, count):
    """Features of another kind: moved along a direction in which the calibration's vary much."""
    features, _, _ = drawn(rng, count)
    features[:, 0] += 15
    return features


def test_with_other_images_the_rate_is_still_as_promised():
    rng = np.random.default_rng(0)
    outside = []
    for _ in range(200):
        domain = Domain.fit(*drawn(rng, 240), others(rng, 50))
        features, label, _ = drawn(rng, 20)
        outside.append((domain.distances(features)[np.arange(20), label] > 1).mean())
    error = np.std(outside) / np.sqrt(len(outside))
    assert RATE / 4 < np.mean(outside) < RATE + 3 * error


def test_other_images_teach_what_the_distance_alone_lets_pass():
    rng = np.random.default_rng(0)
    calibration, taught = drawn(rng, 800), others(rng, 200)
    new = others(rng, 400)
    alone, both = (
        (Domain.fit(*calibration, unlike).distances(new) > 1).all(axis=1).mean()
        for unlike in (None, taught)
    )
    assert alone < 0.2
    assert both > alone + 0.15


def test_half_a_rate_takes_twice_as_many_images():
    rng = np.random.default_rng(0)
    assert Domain.fit(*drawn(rng, 100)) is not None
    assert Domain.fit(*drawn(rng, 100), others(rng, 20)) is None


def test_file_and_tensors_give_the_same_distances(tmp_path):
    rng = np.random.default_rng(0)
    domain = Domain.fit(*drawn(rng, 300), others(rng, 40))
    opened = Domain.open(tmp_path, domain.save(tmp_path))
    features = np.concatenate([drawn(rng, 30)[0], others(rng, 30)])
    expected = domain.distances(features)
    assert (opened.distances(features) == expected).all()
    assert (expected > replace(domain, separator=None).distances(features)).any()
    tensor = domain.tensor_distances(torch.from_numpy(features))
    assert tensor.numpy() == pytest.approx(expected, rel=1e-9)

    file = tmp_path / FILE
    arrays = load_file(file)
    save_file({name: part for name, part in arrays.items() if name != "unlike_bound"}, file)
    with pytest.raises(ValueError, match=r"domain\.safetensors: damaged"):
        Domain.open(tmp_path, file_digest(file))


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """Shards of images of one color each."""
    folder = tmp_path_factory.mktemp("flat")
    rng = np.random.default_rng(0)
    members = []
    for number in range(30):
        pixels = np.full((32, 32, 3), rng.integers(0, 256, 3), np.uint8)
        members.append(Member(f"flat/{number}.png", encode_as(pixels, "png")))
    origin = Origin("train", "flat", REAL, family="real")
    shard_images(members, folder, lambda path: origin)
    return folder


@pytest.fixture
def detector(shards, tmp_path):
    """Folder of a small detector, with the sign by which calibration accepts it."""
    for sign in (1, -1):
        torch.manual_seed(0)
        model = Detector("tiny_patches", view=View("crop", size=32, resize=32))
        model.network.network[-1].weight.data *= sign
        model.network.network[-1].bias.data *= sign
        model.save_pretrained(tmp_path / "detector")
        if run_command(door, calibrate(tmp_path / "detector", shards)) == 0:
            break
    return tmp_path / "detector"


def calibrate(folder, shards, *more):
    data = f"[{shards}/train-*.tar,{shards}/val-*.tar]"
    return ["calibrate", str(folder), "--data", data, *QUICK, *more]


def test_calibrate_takes_and_records_other_images(shards, flat, detector, capsys):
    record = json.loads((detector / "calibration.json").read_text())
    assert set(record["domain"]) == {"rate", "fitted", "ranked", "sha256"}
    capsys.readouterr()

    unlike = ["--unlike", f"[{flat}/train-flat-*.tar]"]
    assert run_command(door, calibrate(detector, shards, *unlike)) == 0
    assert "unlike those of the calibration, as 30 others are, is unsure" in capsys.readouterr().out
    opened = load_detector(str(detector))
    assert (opened.calibration.images, opened.calibration.domain.unlike) == (200, 30)
    hashes = opened.calibration.domain.unlike_shards
    assert hashes == {"train-flat-000000.tar": file_digest(flat / "train-flat-000000.tar")}
    assert opened.calibration.domain.rate == RATE
    assert "as 30 others are" in domain_words(opened.calibration)
    gray = [opened.view_of(np.full((40, 40, 3), 128, np.uint8))]
    assert min(opened.outputs_of(gray)[0].distances) > 1
    _, features = opened.logits_and_features_of(gray)
    assert (opened.domain.separator.distances(features / opened.domain.scale) > 1).all()


def test_wrong_uses_of_other_images_are_told(shards, flat, detector, tmp_path, capsys):
    same = ["--unlike", f"[{shards}/val-photos-*.tar]"]
    assert run_command(door, calibrate(detector, shards, *same)) == 2
    assert "in --data and --unlike" in capsys.readouterr().err
    none = ["--unlike", f"[{flat}/val-*.tar]"]
    assert run_command(door, calibrate(detector, shards, *none)) == 2
    assert "val-*.tar" in capsys.readouterr().err
    several = calibrate(detector, shards, "-o", str(tmp_path / "whole"))
    several.insert(1, str(detector))
    assert run_command(door, [*several, "--unlike", f"[{flat}/train-*.tar]"]) == 2
    assert "--unlike is for one detector" in capsys.readouterr().err


def test_too_few_images_for_the_guard_are_told(shards, flat, detector, capsys):
    few = ["calibrate", str(detector), "--data", f"[{shards}/val-*.tar]", *QUICK]
    assert run_command(door, [*few, "--unlike", f"[{flat}/train-*.tar]"]) == 1
    assert "no guard was fitted; it needs about 80 images" in capsys.readouterr().err
    assert load_detector(str(detector)).domain is None


def test_copies_of_an_image_count_once(shards, detector, tmp_path, capsys):
    """Also in other shards, under other names and in another subset."""
    capsys.readouterr()
    once = ["calibrate", str(detector), "--data", f"[{shards}/train-*.tar]", *QUICK]
    assert run_command(door, once) == 0
    assert "copies" not in capsys.readouterr().out
    alone = load_detector(str(detector)).calibration
    members = []
    for file in shards.glob("train-*.tar"):
        for sample in read_shards([str(file)]):
            label = json.loads(sample.record)["label"]
            members.append((label, Member(f"again/{label}/{sample.key}.png", sample.image)))
    for label in (0, 1):
        origin = Origin("train", f"again{label}", label, family="gan" if label else "real")
        copied = [member for of, member in members if of == label]
        shard_images(copied, tmp_path / "more", lambda path, origin=origin: origin)
    twice = [*once[:3], f"[{shards}/train-*.tar,{tmp_path}/more/*.tar]", *QUICK]
    assert run_command(door, twice) == 0
    assert f"{len(members)} copies of these images were left out" in capsys.readouterr().out
    calibration = load_detector(str(detector)).calibration
    assert (calibration.images, calibration.data.copies) == (alone.images, len(members))
    assert calibration.points == alone.points
    assert calibration.scale == pytest.approx(alone.scale)


def test_copies_are_one_unit_of_the_intervals():
    rows = []
    for number in range(6):
        facts = {"subset": f"set{number}", "source_path": f"{number}.png"}
        rows.append({"label": 0, "logit": 0.0, "sha256": "ab" if number % 2 else ""} | facts)
    units = resampling_units(Scores.of(rows))
    copied = "set1/1.png"
    assert units.tolist() == ["set0/0.png", copied, "set2/2.png", copied, "set4/4.png", copied]
