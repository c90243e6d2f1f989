"""``python -m eval retrieval`` on a small index: tables, missed images, and errors."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch

from engine.cli import run
from eval.__main__ import main
from eval.studies.retrieval_tables import DETECTION, RETRIEVAL
from images.io import save_png
from images.photo import Photo
from indexing.__main__ import main as indexing
from models.copy_net import CopyNet
from tiny.collages import collage

ROOT = Path(__file__).parents[3]


def draw(folder, first, count):
    for number in range(count):
        save_png(Photo(collage(first + number, 40)), folder / f"{number:03d}.png")
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Extractor, originals, distractor queries, and an index of originals and 100 others."""
    root = tmp_path_factory.mktemp("world")
    torch.manual_seed(3)
    network = CopyNet(image_size=32, channels=(8, 16), descriptor=16)
    network.train()(torch.randn(64, 3, 32, 32))
    network.eval().save_pretrained(root / "extractor")
    draw(root / "references", 0, 100)
    draw(root / "originals", 5000, 5)
    draw(root / "strangers", 9000, 6)
    for name in ("references", "originals"):
        features = [
            "extract",
            f"{root}/{name}",
            "-o",
            f"{root}/features/{name}",
            "--extractor.name",
            f"{root}/extractor",
            "--workers=0",
        ]
        assert run(indexing, features) == 0
    assert (
        run(
            indexing,
            [
                "build",
                f"{root}/features/references",
                "-o",
                f"{root}/index",
                "--factory",
                "IVF4,PQ4x4",
            ],
        )
        == 0
    )
    assert run(indexing, ["add", f"{root}/index", f"{root}/features/originals"]) == 0
    return root


def study(world, out, *more):
    arguments = [
        "retrieval",
        "-o",
        out,
        "--index",
        world / "index",
        "--originals",
        world / "originals",
        "--workers=0",
        "--resamples=20",
    ]
    return run(
        main, [str(part) for part in (*arguments, "--extractor.name", world / "extractor", *more)]
    )


def rows(file):
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_two_arms(world, tmp_path, capsys):
    released = shutil.copytree(world / "originals", tmp_path / "released")
    arms = ("--arms.passive", world / "originals", "--arms.same", released)
    assert (
        study(world, tmp_path / "out", *arms, "--distractor-queries", world / "strangers", "--k=7")
        == 0
    )
    told = capsys.readouterr().out
    assert "| none | " in told
    assert "muAP, random chains and strangers" in told
    one, two = (rows(tmp_path / "out" / arm / "retr_df.csv") for arm in ("passive", "same"))
    assert list(one[0]) == RETRIEVAL
    assert len(one) == 5 * 15
    assert one == two  # the same pictures, and the same random edits
    for row in one:
        ids, rank = json.loads(row["retrieved_indices"]), int(row["rank"])
        assert len(ids) == 7
        if rank == 7:
            assert int(row["image_index"]) not in ids
            assert (row["r@100"], float(row["ap"])) == ("0", 0)
        else:
            assert ids[rank] == int(row["image_index"])
            assert float(row["ap"]) == pytest.approx(1 / (rank + 1))
    detection = rows(tmp_path / "out" / "same" / "icd_df.csv")
    assert list(detection[0]) == DETECTION
    assert [row["image_index"] for row in detection] == ["100", "101", "102", "103", "104"] + [
        "-1"
    ] * 6
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    change = summary["differences"]["same - passive"]
    assert change["mean"]["recall_at_1"] == 0.0
    low, high = change["mean"]["interval"]
    assert low < 0 < high, "images that did not change say so only up to what they can miss"
    assert all(row["interval"][0] < 0 < row["interval"][1] for row in change["edits"])
    assert {row["p_holm"] for row in change["edits"]} == {1.0}
    assert summary["comparisons"] == len(change["edits"])
    assert (tmp_path / "out" / "report.html").read_text().count('<figure class="chart">') == 2


def test_hashes_of_the_entries_are_a_baseline(world, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ("--arms.passive", world / "originals", "--pdq=true")
    assert study(world, out, *arguments) == 0
    capsys.readouterr()
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary["arms"]) == ["passive", "passive, PDQ"]
    assert "passive, PDQ - passive" in summary["differences"]
    edits = summary["arms"]["passive, PDQ"]["edits"]
    by_name = {f"{edit['attack']} {edit['attack_param']}".strip(): edit for edit in edits}
    assert by_name["none"]["recall_at_1"] == 1
    assert by_name["jpeg 50"]["recall_at_1"] == 1
    assert by_name["rotation 90"]["recall_at_1"] < 1
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["settings"]["pdq"] == {"entries": 105, "missing": 0}
    assert study(world, out, *arguments) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_changed_image_is_looked_up_again_and_a_damaged_one_is_left_out_of_all_arms(
    world, tmp_path, capsys
):
    released = shutil.copytree(world / "originals", tmp_path / "released")
    arms = ("--arms.passive", world / "originals", "--arms.other", released, "--k=7")
    assert study(world, tmp_path / "out", *arms) == 0
    before, times = (tmp_path / "out" / "report.html").read_bytes(), found_at(tmp_path / "out")
    assert study(world, tmp_path / "out", *arms) == 0
    assert "nothing to do: 10 images" in capsys.readouterr().out
    assert (tmp_path / "out" / "report.html").read_bytes() == before
    shutil.copy(world / "strangers" / "000.png", released / "001.png")
    assert study(world, tmp_path / "out", *arms) == 0
    assert [name for name, time in found_at(tmp_path / "out").items() if times[name] != time] == [
        "arms/other/001.png.safetensors"
    ]
    (released / "003.png").write_bytes((released / "003.png").read_bytes()[:200])
    assert study(world, tmp_path / "out", *arms) == 1
    assert "003.png: damaged" in capsys.readouterr().err
    assert all(
        len(rows(tmp_path / "out" / arm / "retr_df.csv")) == 4 * 15 for arm in ("passive", "other")
    )
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["counts"] == {"done": 9, "failed": 1, "skipped": 0}


def found_at(out):
    folder = out / "found"
    return {
        str(file.relative_to(folder)): file.stat().st_mtime_ns
        for file in sorted(folder.rglob("*.safetensors"))
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--arms.a", "references"), "is missing, the released form of"),
        (
            ("--arms.a", "originals", "--parameters", "efSearch=9"),
            "does not take the search parameters",
        ),
        (("--arms.a", "originals", "--extractor.antialias=false"), "of another extractor"),
        (("--arms.a", "originals", "--originals", "strangers"), "is not in the index"),
        (("--arms.a", "nowhere"), "no such"),
    ],
)
def test_mistakes_are_told(world, tmp_path, capsys, arguments, words):
    if arguments[1] == "references":
        (world / "empty").mkdir(exist_ok=True)
        shutil.copy(world / "references" / "000.png", world / "empty")
        arguments = ("--arms.a", "empty")
    places = {"originals", "strangers", "nowhere", "empty"}
    assert (
        study(
            world,
            tmp_path / "out",
            *(world / part if part in places else part for part in arguments),
        )
        == 2
    )
    assert words in capsys.readouterr().err
