"""Protocols in the small world: three pipelines as three dates."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from datamodules.fake2m.making import SynthesisConfig
from datamodules.fake2m.origin import REAL, Origin
from datamodules.fake2m.sharding import shard_images
from datamodules.fake2m.synthesize import synthesize
from detectors.__main__ import main
from detectors.protocol_plan import Catalog, Group, group_generators, plan_splits
from engine.cli import run
from engine.devices import DeviceOptions
from engine.job import JobOptions
from images.archives import Member
from images.io import encode_as, to_rgb
from tiny.dataset import PortraitDataset

PIPELINES = {"sd-a1": "2021-06", "sd-a2": "2022-06", "sd-b": "2023-06-15"}
DATES = "{" + ", ".join(f"checkpoints/tiny/{k}: {v}" for k, v in PIPELINES.items()) + "}"
CPU = JobOptions(DeviceOptions("cpu", 1))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Portraits, and samples of three pipelines, of which the last is only tested."""
    folder = tmp_path_factory.mktemp("protocol")
    for split, first, count in (("train", 0, 16), ("test", 100, 8)):
        portraits = PortraitDataset(first, count, 1)
        members = []
        for number, item in enumerate(portraits.__getitems__(list(range(count)))):
            rgb = to_rgb(item["image"])
            members.append(Member(f"{number}.bmp", encode_as(rgb, "bmp")))
        origin = Origin(split, "portraits", REAL, family="real")
        shard_images(members, folder, lambda _, origin=origin: origin)
        captions = [portraits.caption(index) for index in range(count // 2)]
        for name in list(PIPELINES)[: 2 if split == "train" else 3]:
            model = f"checkpoints/tiny/{name}"
            options = {"codec": "bmp", "steps": 2, "batch_size": 12, "seed": first}
            synthesize(captions, folder, SynthesisConfig(model, name, split, **options), CPU)
    view = {"policy": "crop", "size": 64, "resize": 64}
    init = {"network": "tiny_patches", "view": view, "train_view": view | {"random": True}}
    config = {
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 1,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        },
        "model": {"detector": {"class_path": "detectors.detector.Detector", "init_args": init}},
        "data": {"batch_size": 8, "epoch_samples": 16, "num_workers": 0, "val": ["elsewhere.tar"]},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(config))
    return folder


def command(world, output, recipe=None, *more):
    shards = ["--train", f"[{world}/train-*.tar]"] if recipe is None else []
    recipe = recipe or str(world / "recipe.yaml")
    job = ["--workers", "0", "--accelerator", "cpu", "-o", str(output)]
    return ["protocol", recipe, *shards, "--test", f"[{world}/test-*.tar]", *job, *more]


def rows_of(output):
    with (output / "protocol.csv").open() as file:
        return list(csv.DictReader(file))


def test_three_pipelines_as_three_dates(world, tmp_path, capsys):
    windows = command(world, tmp_path / "out", None, "--dates", DATES)
    assert run(main, windows) == 0
    rows = rows_of(tmp_path / "out")
    assert [(row["split"][:13], row["generator"][-5:], row["relation"]) for row in rows] == [
        ("until 2021-06", "sd-a1", "seen"),
        ("until 2021-06", "sd-a2", "next"),
        ("until 2021-06", "/sd-b", "later"),
        ("until 2022-06", "sd-a1", "seen"),
        ("until 2022-06", "sd-a2", "seen"),
        ("until 2022-06", "/sd-b", "next"),
    ]
    assert all((row["real"], row["generated"]) == ("8", "4") for row in rows)
    assert all(0 <= float(row["auc"]) <= 1 for row in rows)
    record = json.loads((tmp_path / "out" / "protocol.json").read_text())
    assert record["kind"] == "windows"
    assert [row["auc"] for row in record["rows"]] == [float(row["auc"]) for row in rows]
    page = (tmp_path / "out" / "protocol.html").read_text()
    assert "checkpoints/tiny/sd-b" in page
    assert "Each split is one training run" in page
    assert "6 results; their intervals are over images, each its own, and not adjusted" in page
    # training saw only what its split may see
    [first, second] = sorted((tmp_path / "out").glob("*/fit.yaml"))
    data = yaml.safe_load(first.read_text())["data"]
    assert [Path(one["urls"]).name for one in data["generated"]] == ["train-sd-a1-000000.tar"]
    assert data["val"] == []
    assert len(yaml.safe_load(second.read_text())["data"]["generated"]) == 2
    # the same command has nothing to do; a lost training and its scores are made again
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*.safetensors")}
    assert len(before) == 2
    capsys.readouterr()
    assert run(main, windows) == 0
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert rows_of(tmp_path / "out") == rows
    other = command(world, tmp_path / "out", None, "--dates", DATES)
    other[1] = str(tmp_path / "other.yaml")
    settings = yaml.safe_load((world / "recipe.yaml").read_text())
    settings["data"]["batch_size"] = 4
    Path(other[1]).write_text(yaml.safe_dump(settings))
    assert run(main, other) == 2
    assert "holds results of other settings or weights (recipe differs)" in capsys.readouterr().err


def test_given_weights_are_tested_by_date(world, tmp_path):
    dates = ["--dates", DATES, "--window", "2"]
    assert run(main, command(world, tmp_path, "checkpoints/tiny/detector", *dates)) == 0
    rows = rows_of(tmp_path)
    assert {row["split"] for row in rows} == {"given weights"}
    assert [row["group"].split(":")[0] for row in rows] == [
        "2021-06 to 2022-06",
        "2021-06 to 2022-06",
        "2023-06-15",
    ]
    page = (tmp_path / "protocol.html").read_text()
    assert "The weights were given" in page
    assert "one training run" not in page


def catalog(**generated):
    families = {name: name[0] for name in generated}
    return Catalog(["real"], {name: [name] for name in generated}, families, dict(generated))


def test_plans_by_hand():
    dated = catalog(a1="2020-01", a2="2022-05", b1="2021-07")
    windows = group_generators("windows", dated, {}, {}, 1)
    assert [group.generators for group in windows] == [("a1",), ("b1",), ("a2",)]
    splits = plan_splits("windows", windows, ["a1", "a2"])
    assert [split.trained for split in splits] == [("a1",), ("a1", "a2")]
    left = plan_splits("leave-one-out", group_generators("leave-one-out", dated, {}, {}, 1), ["a1"])
    assert [(split.name, split.trained) for split in left] == [
        ("without a2", ("a1",)),
        ("without b1", ("a1",)),
    ]
    assert left[0].relations == {"a1": "seen", "b1": "seen", "a2": "unseen"}
    families = group_generators("families", dated, {"a2": "b"}, {}, 1)
    assert families == [Group("a", ("a1",)), Group("b", ("a2", "b1"))]
    crossed = plan_splits("families", families, ["a1", "a2", "b1"])
    assert [split.relations for split in crossed] == [
        {"a": "seen", "b": "unseen"},
        {"a": "unseen", "b": "seen"},
    ]


@pytest.mark.parametrize(
    ("generated", "options", "words"),
    [
        ({"a": "2020-01", "b": ""}, {}, "b: its release date is not known; state it as --dates"),
        ({"a": "2020-01", "b": "soon"}, {}, "b: its release date is 'soon'"),
        ({"a": "2020-01"}, {"dates": {"c": "2020-02"}}, "c: no such generator"),
        ({"a": "2020-01"}, {"window": 0}, "--window is at least 1"),
    ],
)
def test_plans_that_cannot_be_made_are_refused(generated, options, words):
    settings = {"families": {}, "dates": {}, "window": 1} | options
    with pytest.raises(ValueError, match=words):
        group_generators("windows", catalog(**generated), **settings)


def test_wrong_inputs_are_told(world, tmp_path, capsys):
    out = tmp_path / "out"
    (tmp_path / "no.yaml").write_text("- 1\n")
    told = {
        "a config is trained on each split": command(world, out, str(tmp_path / "no.yaml")),
        "no such config": command(world, out, str(tmp_path / "x.yaml"), "--dates", DATES),
        "its release date is not known": command(world, out, "checkpoints/tiny/detector"),
        "needs data and trainer": [
            *command(world, out, str(tmp_path / "no.yaml"), "--dates", DATES),
            "--train",
            f"[{world}/train-*.tar]",
        ],
        "no generator of the test has training shards": [
            *command(world, out, str(world / "recipe.yaml"), "--dates", DATES),
            "--train",
            f"[{world}/train-portraits-*.tar]",
        ],
    }
    for words, given in told.items():
        assert run(main, given) == 2, words
        assert words in capsys.readouterr().err
