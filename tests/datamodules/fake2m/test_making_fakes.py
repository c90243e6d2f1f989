"""Synthesis of images with small pipelines, through the command."""

import json
import shutil
from functools import partial

import pytest

from datamodules.__main__ import main
from datamodules.fake2m.facts import read_facts
from engine.cli import run as run_command

run = partial(run_command, main)
CPU = ["--accelerator", "cpu"]


@pytest.fixture
def captions(tmp_path):
    (tmp_path / "captions.txt").write_text(
        "photo of a person\n\nphoto of a person with glasses\nphoto of nobody\n"
    )
    return str(tmp_path / "captions.txt")


def synthesis(captions, pipeline, output, *more):
    arguments = [
        "--model",
        pipeline,
        "--name",
        "small",
        "--steps",
        "2",
        "--per_shard",
        "2",
        "--batch_size",
        "2",
    ]
    return run(["synthesize", captions, "-o", str(output), *arguments, *CPU, *more])


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.tar")}


def test_captions_become_shards_with_their_provenance(captions, pipelines, tmp_path):
    scheduler = ["--scheduler", "DPMSolverMultistepScheduler", "--codec", "bmp"]
    assert synthesis(captions, pipelines[0], tmp_path / "out", *scheduler) == 0
    records = [
        facts for path in sorted((tmp_path / "out").glob("*.tar")) for _, facts in read_facts(path)
    ]
    assert [record["caption"] for record in records] == [
        "photo of a person",
        "photo of a person with glasses",
        "photo of nobody",
    ]
    assert {
        (record["label"], record["sampler"], record["steps"], record["codec"]) for record in records
    } == {(1, "DPMSolverMultistepScheduler", 2, "bmp")}
    assert [record["seed"] for record in records] == [0, 1, 2]
    assert {(record["width"], record["height"]) for record in records} == {(64, 64)}
    index = json.loads((tmp_path / "out" / "train-small.json").read_text())
    assert index["samples"] == 3
    assert [shard["samples"] for shard in index["shards"]] == [2, 1]
    manifest = json.loads((tmp_path / "out" / "train-small.run" / "manifest.json").read_text())
    assert manifest["finished"]
    assert manifest["settings"]["captions"]["count"] == 3


def test_a_stopped_run_goes_on_and_other_settings_are_refused(
    captions, pipelines, tmp_path, capsys
):
    assert synthesis(captions, pipelines[0], tmp_path / "whole") == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    (tmp_path / "part" / "train-small-000001.tar").unlink()
    kept = tmp_path / "part" / "train-small-000000.tar"
    stamp = kept.stat().st_mtime_ns
    assert synthesis(captions, pipelines[0], tmp_path / "part") == 0
    assert bytes_of(tmp_path / "part") == bytes_of(tmp_path / "whole")
    assert kept.stat().st_mtime_ns == stamp
    assert synthesis(captions, pipelines[0], tmp_path / "part", "--guidance", "1.5") == 2
    assert "holds results of other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["synthesize", "none.txt", "--model", "m", "--name", "n"], "none.txt"),
        (["synthesize", "captions.txt", "--model", "m", "--name", "n"], "no model at 'm'"),
        (
            ["synthesize", "captions.txt", "--model", "m", "--name", "n", "--scheduler", "Euler"],
            "diffusers has no scheduler 'Euler'",
        ),
        (
            ["synthesize", "captions.txt", "--model", "m", "--name", "n", "--steps", "0"],
            "must be at least 1",
        ),
        (["synthesize", "empty.txt", "--model", "m", "--name", "n"], "no captions to draw from"),
        (["reconstruct", "x-*.tar", "--autoencoder", "m", "--name", "n"], "no shards at x-*.tar"),
    ],
)
def test_mistakes_are_one_line(arguments, words, captions, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n")
    assert run([*arguments, "-o", "out", *CPU]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_names_are_made_safe_for_shards(captions, pipelines, tmp_path, capsys):
    assert synthesis(captions, pipelines[0], tmp_path / "out", "--name", "SD 1.5/x{1..2}") == 0
    assert {path.name for path in (tmp_path / "out").glob("*.tar")} == {
        f"train-SD-1-5-x-1--2-{n:06d}.tar" for n in range(2)
    }
    assert synthesis(captions, pipelines[0], tmp_path / "out", "--name", "///") == 2
    assert "no letter or digit" in capsys.readouterr().err
