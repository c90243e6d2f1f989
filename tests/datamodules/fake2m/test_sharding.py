"""Sharding of folders, archives and shards, through the command."""

import json
from functools import partial

import pytest
import webdataset as wds
from hypothesis import given
from hypothesis import strategies as st

from datamodules.__main__ import main
from datamodules.fake2m.origin import hash_fraction
from datamodules.fake2m.subset_writer import free_key
from engine.cli import run as run_command
from tests.datamodules.fake2m.archives import encoded, samples

run = partial(run_command, main)


def test_a_stopped_run_goes_on_to_the_same_shards(archive, tmp_path, monkeypatch):
    arguments = ["shard", str(archive), "--set", "IF-CC95K", "--limits.samples", "1"]
    run([*arguments, "-o", str(tmp_path / "whole")])
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").glob("*.tar")}
    assert len(whole) == 6

    import datamodules.fake2m.sharding as sharding

    real, calls = sharding.read_header, []

    def stops(content):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(content)

    monkeypatch.setattr(sharding, "read_header", stops)
    assert run([*arguments, "-o", str(tmp_path / "again")]) == 130
    assert 0 < len(list((tmp_path / "again").glob("*.tar"))) < 6
    assert run([*arguments, "-o", str(tmp_path / "again")]) == 1
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").glob("*.tar")} == whole
    assert len(calls) == 4 + 4, "pictures of finished shards are not looked at again"


def test_a_folder_of_photographs(tmp_path):
    for name in ("a.jpg", "deep/er/b.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(encoded("JPEG", quality=71))
    arguments = [
        "shard",
        str(tmp_path / "photos"),
        "-o",
        str(tmp_path / "out"),
        "--label",
        "real",
        "--split",
        "val",
        "--name",
        "COCO 2017",
    ]
    assert run(arguments) == 0
    facts = [json.loads(sample["json"]) for sample in samples(tmp_path / "out")]
    assert [one["label"] for one in facts] == [0, 0]
    assert {one["family"] for one in facts} == {"real"}
    assert {one["jpeg_quality"] for one in facts} == {71}
    assert [path.name for path in (tmp_path / "out").glob("*.tar")] == ["val-COCO-2017-000000.tar"]


def test_other_peoples_shards(tmp_path):
    (tmp_path / "cc3m").mkdir()
    for number in range(2):
        with wds.TarWriter(str(tmp_path / "cc3m" / f"cc3m-{number:04d}.tar")) as writer:
            writer.write(
                {
                    "__key__": f"{number:09d}",
                    "jpg": encoded("JPEG", number),
                    "txt": "a dog",
                    "json": b"{}",
                }
            )
    arguments = [
        "shard",
        str(tmp_path / "cc3m"),
        "-o",
        str(tmp_path / "out"),
        "--label",
        "real",
        "--captions",
        "cc3m-train",
        "--decode",
        "true",
    ]
    assert run(arguments) == 0
    assert [json.loads(sample["json"])["caption_id"] for sample in samples(tmp_path / "out")] == [
        "cc3m-train/0",
        "cc3m-train/1",
    ]


def test_a_share_of_a_training_set_is_kept_for_calibration(tmp_path):
    for folder in ("sd", "if"):
        (tmp_path / folder).mkdir()
        for number in range(60):
            (tmp_path / folder / f"{number}.png").write_bytes(encoded("PNG", number))
        arguments = [
            "--label",
            "generated",
            "--calibration_share",
            "0.3",
            "--dev_share",
            "0",
            "-o",
            str(tmp_path / "out"),
        ]
        assert run(["shard", str(tmp_path / folder), *arguments]) == 0
    found = {
        path.stem: json.loads(path.read_text())["samples"]
        for path in (tmp_path / "out").glob("*.json")
    }
    assert found["train-sd"] + found["calibration-sd"] == 60
    assert 8 < found["calibration-sd"] < 30
    held_out = []
    for name in ("sd", "if"):
        calibration = samples(tmp_path / "out", f"calibration-{name}-*.tar")
        held_out.append({json.loads(sample["json"])["source_path"] for sample in calibration})
    assert held_out[0] == held_out[1], "images of one caption are on one side"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "--label", "real"], "nowhere: no such folder"),
        (["."], "give --set with the name of a published set, or a source and --label"),
        ([".", "--set", "IF"], "no set 'IF'; choose one of SDv15R-CC1M,"),
        ([".", "--label", "real"], "no images in the source .: "),
        ([".", "--label", "real", "--limits.samples", "0"], "at least 1 image"),
        ([".", "--label", "real", "--metadata", "gone.csv"], "gone.csv"),
    ],
)
def test_mistakes_are_one_line(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["shard", "-o", "out", *arguments]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


@given(
    st.lists(
        st.text(alphabet="ab.-/", min_size=1, max_size=8).map(
            lambda name: "d/" + name.strip("/") + ".png"
        ),
        max_size=30,
    )
)
def test_keys_differ_and_have_no_dot_in_the_file_name(paths):
    taken = set()
    for path in paths:
        key = free_key(path, taken)
        assert key not in taken
        assert "." not in key.rsplit("/", 1)[-1]
        taken.add(key)


def test_other_settings_in_the_same_folder_are_refused(tmp_path, capsys):
    (tmp_path / "sd-1.4").mkdir()
    (tmp_path / "sd-1.4" / "1.png").write_bytes(encoded("PNG"))
    command = ["shard", str(tmp_path / "sd-1.4"), "-o", str(tmp_path / "out")]
    assert run([*command, "--label", "generated"]) == 0
    assert run([*command, "--label", "generated"]) == 0, "the same again is nothing new"
    capsys.readouterr()
    assert run([*command, "--label", "real"]) == 2
    assert "holds results of other settings" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").glob("*.tar")] == [
        "train-sd-1-4-000000.tar"
    ], "the name keeps its number"


def test_one_caption_is_on_one_side_however_its_number_is_written():
    assert hash_fraction("a/7.png") == hash_fraction("000000007.jpg")
    assert 0 <= hash_fraction("a/x.png") < 1
