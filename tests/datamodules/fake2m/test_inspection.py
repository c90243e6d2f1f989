"""Shortcut test, which fails only on headers that reveal the class, and its page."""

import io
import json
import zipfile
from functools import partial

import numpy as np
import pytest
from PIL import Image

from datamodules.__main__ import main
from datamodules.fake2m.origin import Origin
from datamodules.fake2m.sharding import shard_images
from datamodules.fake2m.shortcuts import shortcut_gate
from engine.cli import run as run_command
from images.archives import Member, index_tar

run = partial(run_command, main)


def write(folder, label, count=200, codec="BMP", size=(24, 24), **options):
    members = []
    for number in range(count):
        buffer = io.BytesIO()
        levels = np.random.default_rng(1000 * label + number).integers(
            0, 255, (*size, 3), dtype=np.uint8
        )
        Image.fromarray(levels).save(buffer, format=codec, **options)
        members.append(Member(f"p/{number}", buffer.getvalue()))
    origin = Origin("train", ("photos", "copies")[label], label, family="gan" if label else "real")
    shard_images(members, folder, lambda path: origin)


def inspect(folder, *more):
    return run(["inspect", str(folder / "train-*.tar"), "-o", str(folder / "out"), *more])


def test_equal_codec_and_size_pass(tmp_path, capsys):
    write(tmp_path, 0)
    write(tmp_path, 1)
    assert inspect(tmp_path) == 0
    told = capsys.readouterr().out
    assert "no difference above AUC 0.587 was seen (200 + 200 images, too few to tell 0.55" in told
    facts = json.loads((tmp_path / "out" / "inspection.json").read_text())
    assert facts["gate"]["passed"]
    assert facts["counts"]["size"] == {"real": {"24x24": 200}, "generated": {"24x24": 200}}
    page = (tmp_path / "out" / "inspection.html").read_text()
    assert page.count("<figure>") == 48
    assert "://" not in page, "nothing is fetched"


@pytest.mark.parametrize(
    ("different", "fact"),
    [
        ({"codec": "PNG"}, "codec"),
        ({"size": (24, 32)}, "width"),
        ({"codec": "JPEG", "quality": 90}, "codec"),
    ],
)
def test_what_betrays_a_class_is_named(tmp_path, capsys, different, fact):
    write(tmp_path, 0)
    write(tmp_path, 1, **different)
    assert inspect(tmp_path) == 1
    told = capsys.readouterr().err
    assert "headers alone tell the classes apart with AUC 1.000" in told
    gate = json.loads((tmp_path / "out" / "inspection.json").read_text())["gate"]
    assert gate["features"][fact] > 0.95


def test_jpeg_quality_alone_is_found(tmp_path):
    write(tmp_path, 0, codec="JPEG", quality=96)
    write(tmp_path, 1, codec="JPEG", quality=90)
    assert inspect(tmp_path) == 1
    gate = json.loads((tmp_path / "out" / "inspection.json").read_text())["gate"]
    assert gate["features"]["jpeg_quality"] > 0.95
    assert gate["features"]["width"] == 0.5


def test_the_gate_says_nothing_from_too_few(tmp_path, capsys):
    write(tmp_path, 0, count=5)
    write(tmp_path, 1)
    assert inspect(tmp_path) == 2
    assert "at least 200 images of each class, got 5 real" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--images", "-1", "images must be at least 0, got -1"),
        ("--max-records", "0", "max_records must be at least 1, got 0"),
        ("--scored", "0", "scored must be at least 1, got 0"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path, capsys, option, value, message):
    assert inspect(tmp_path, option, value) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_damaged_images_are_named_and_counted(tmp_path, capsys, monkeypatch):
    class Brightness:
        def __init__(self, name):
            pass

        def quality(self, images):
            return images.mean(dim=(1, 2, 3))

    monkeypatch.setattr("models.clip.ClipMetrics", Brightness)
    write(tmp_path, 0)
    write(tmp_path, 1)
    (shard,) = tmp_path.glob("train-copies-*.tar")
    content = bytearray(shard.read_bytes())
    damaged = [member for member in index_tar(shard) if member.name.endswith(".bmp")][:3]
    for member in damaged:
        at = content.index(member.read())
        content[at : at + 30] = bytes(30)
    shard.write_bytes(bytes(content))
    assert inspect(tmp_path, "--clip", "CLIP/", "--images", "200") == 1
    said = capsys.readouterr()
    for member in damaged:
        assert said.err.count(f"{shard.name}, {member.name}: ") == 1
    assert "unreadable: 3 of the images that were opened" in said.out
    assert scores(tmp_path)["generated"]["pictures"] == 197
    facts = json.loads((tmp_path / "out" / "inspection.json").read_text())
    assert len(facts["unreadable"]) == 3


def test_chance_differences_do_not_fire():
    rng = np.random.default_rng(0)
    fixed = {"codec": "png", "height": 64, "jpeg_quality": None, "chroma": None, "exif": False}
    records = [
        fixed
        | {
            "label": int(rng.integers(2)),
            "width": int(rng.integers(60, 70)),
            "nbytes": int(rng.integers(9000, 9999)),
        }
        for _ in range(4000)
    ]
    assert shortcut_gate(records).passed


def test_few_pictures_do_not_fire_by_chance_but_what_is_plain_does():
    fixed = {"codec": "png", "height": 64, "jpeg_quality": None, "chroma": None, "exif": False}
    fired = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        records = [
            fixed | {"label": n % 2, "width": 64, "nbytes": int(rng.integers(9000, 9999))}
            for n in range(400)
        ]
        fired += not shortcut_gate(records).passed
    assert fired <= 1
    gate = shortcut_gate(
        [record | {"nbytes": record["nbytes"] + 900 * record["label"]} for record in records]
    )
    assert not gate.passed
    assert gate.limit > 0.55
    assert "200 + 200 images, too few to tell 0.55 from chance" in gate.verdict()


def scores(folder):
    return json.loads((folder / "out" / "inspection.json").read_text())["aesthetics"]


def test_aesthetic_scores_of_an_archive_are_joined_by_path(tmp_path, capsys):
    write(tmp_path, 0)
    write(tmp_path, 1)
    with zipfile.ZipFile(tmp_path / "scores.zip", "w") as archive:
        rows = [f"./FakeImageDataset/x/p/{number} {number / 200}" for number in range(150)]
        archive.writestr("AestheticQuality/x.csv", "\n".join(["path score", *rows]))
        archive.writestr("AestheticQuality/readme.md", "p/199 5.0")
    assert inspect(tmp_path, "--aesthetics", str(tmp_path / "scores.zip")) == 0
    told = scores(tmp_path)
    assert told["real"]["pictures"] == told["generated"]["pictures"] == 150
    assert told["real"]["mean"] == pytest.approx(np.mean(np.arange(150) / 200))
    assert "Aesthetic scores" in (tmp_path / "out" / "inspection.html").read_text()
    (tmp_path / "empty.csv").write_text("path score\n")
    assert inspect(tmp_path, "--aesthetics", str(tmp_path / "empty.csv")) == 2
    assert "no rows with a path and a score" in capsys.readouterr().err
    assert inspect(tmp_path, "--aesthetics", str(tmp_path / "none.csv")) == 2


def test_aesthetic_scores_are_computed_where_a_clip_is_given(tmp_path, monkeypatch):
    class Brightness:
        def __init__(self, name):
            assert name == "CLIP/"

        def quality(self, images):
            return images.mean(dim=(1, 2, 3))

    monkeypatch.setattr("models.clip.ClipMetrics", Brightness)
    write(tmp_path, 0)
    write(tmp_path, 1)
    assert inspect(tmp_path, "--clip", "CLIP/", "--scored", "7") == 0
    told = scores(tmp_path)
    assert told["real"]["pictures"] == told["generated"]["pictures"] == 7
    assert told["real"]["mean"] == pytest.approx(0.5, abs=0.05)
