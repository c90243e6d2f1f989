"""Split archives: their order, damage and unsafe names."""

import gzip
import hashlib
import json
from functools import partial

import fsspec
import pytest

from datamodules.__main__ import main
from engine.cli import run as run_command
from tests.datamodules.fake2m.archives import FILES, encoded, samples, split_archive

run = partial(run_command, main)


def test_a_split_archive_with_every_trap(archive, tmp_path, capsys):
    arguments = [
        "shard",
        str(archive),
        "-o",
        str(tmp_path / "out"),
        "--set",
        "IF-CC95K",
        "--metadata",
        str(tmp_path / "metadata.csv"),
    ]
    assert run(arguments) == 1, "one picture is unreadable"
    told = capsys.readouterr()
    assert "unreadable: 1" in told.err
    assert "rows without a picture: 1" in told.err
    found = {
        json.loads(sample["json"])["source_path"]: sample for sample in samples(tmp_path / "out")
    }
    assert set(found) == {path for path in FILES if "broken" not in path and "readme" not in path}
    for path, sample in found.items():
        facts = json.loads(sample["json"])
        assert sample[facts["codec"]] == FILES[path], "the bytes are as they were"
        assert facts["sha256"] == hashlib.sha256(FILES[path]).hexdigest()
        assert (facts["width"], facts["height"], facts["nbytes"]) == (24, 16, len(FILES[path]))
    facts = {path: json.loads(sample["json"]) for path, sample in found.items()}
    codecs = [facts[f"IF-CC95K/IF-dpmsolver++-10-15K/{n}.png"]["codec"] for n in (7, 8, 9)]
    assert codecs == ["png", "jpg", "webp"], "by content, not by name"
    one = facts["IF-CC95K/IF-dpmsolver++-10-15K/8.png"]
    assert (one["jpeg_quality"], one["chroma"], one["sampler"], one["steps"]) == (
        100,
        "4:4:4",
        "dpms++",
        10,
    )
    assert (one["label"], one["generator"], one["family"]) == (1, "IF", "pixel_diffusion"), (
        "their 0 is our 1"
    )
    assert (
        one["caption_id"]
        == facts["IF-CC95K/IF-CC95K/IF-ddim-25-15K/7.png"]["caption_id"].replace("/7", "/8")
        == "cc3m-val/8"
    )
    assert facts["IF-CC95K/IF-ddim-25-15K/v1.5_001.png"]["label"] == 0, "its own row says so"
    assert len({sample["__key__"] for sample in found.values()}) == len(found)
    index = json.loads((tmp_path / "out" / "val-IF-ddim-25-15K.json").read_text())
    assert index["samples"] == 3
    assert index["counts"]["label"] == {"1": 2, "0": 1}
    shard = index["shards"][0]
    assert (
        shard["sha256"]
        == hashlib.sha256((tmp_path / "out" / shard["name"]).read_bytes()).hexdigest()
    )
    assert index["left_out_names"]["unreadable"] == ["IF-CC95K/IF-ddim-25-15K/broken.png"]
    assert index["left_out_names"]["rows without a picture"][0].endswith("gone.png")
    assert index["left_out"]["without a row in the metadata"] == 3, (
        "the unreadable one has none, either"
    )
    manifest = json.loads((tmp_path / "out" / "IF-CC95K.run" / "manifest.json").read_text())
    assert manifest["counts"] == {"done": 6, "failed": 1, "skipped": 1}, "every file is counted"
    assert run(arguments) == 1
    again = json.loads((tmp_path / "out" / "IF-CC95K.run" / "manifest.json").read_text())
    assert again["counts"] == manifest["counts"]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda parts: (parts / "IF-CC95K.tar.gz.5").unlink(), "IF-CC95K.tar.gz.5 is missing"),
        (lambda parts: (parts / "IF-CC95K.tar.gz.11").unlink(), "ends too early, in"),
        (
            lambda parts: cut(parts / "IF-CC95K.tar.gz.11"),
            "IF-CC95K.tar.gz.11: that part is cut short",
        ),
        (
            lambda parts: swap(parts / "IF-CC95K.tar.gz.3", parts / "IF-CC95K.tar.gz.4"),
            "see that the parts are numbered right",
        ),
        (lambda parts: (parts / "IF-CC95K.tar.gz").write_bytes(b""), "exists whole and in parts"),
        (lambda parts: (parts / "IF-CC95K.tar.gz.04").write_bytes(b""), "are the same part"),
    ],
)
def test_incomplete_archives_are_errors(archive, tmp_path, harm, words, capsys):
    harm(archive)
    assert run(["shard", str(archive), "-o", str(tmp_path / "out"), "--set", "IF-CC95K"]) == 2
    assert words in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*.json")), "no index claims that the set is whole"
    assert not list((tmp_path / "out").glob(".*.partial")), "nothing half-written is left"


def cut(path):
    path.write_bytes(path.read_bytes()[:-6])


def swap(one, other):
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def test_a_name_that_leads_out_of_the_archive_is_refused(tmp_path, capsys):
    folder = split_archive(tmp_path / "parts", {"../../evil.png": encoded("PNG")}, parts=1)
    assert run(["shard", str(folder), "-o", str(tmp_path / "out"), "--label", "generated"]) == 2
    assert "leads out of the archive" in capsys.readouterr().err


def test_parts_are_read_from_any_file_system_one_at_a_time(archive):
    system = fsspec.filesystem("memory")
    for path in archive.iterdir():
        system.pipe_file(f"/fakes/{path.name}", path.read_bytes())
    from images.sources import find_archives

    (found,) = find_archives("memory://fakes")
    assert [member.name for member in found.members()] == list(FILES)


def test_the_checksum_at_the_very_end_counts(tmp_path, capsys):
    folder = split_archive(tmp_path / "parts", {"a/1.png": encoded("PNG")}, parts=1)
    file = folder / "IF-CC95K.tar.gz.0"
    content = bytearray(file.read_bytes())
    content[-8] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(bytes(content))
    assert run(["shard", str(folder), "-o", str(tmp_path / "out"), "--label", "generated"]) == 2
    assert "damaged in" in capsys.readouterr().err


def test_two_archives_with_files_of_one_name(tmp_path):
    for stem in ("one.tar.gz", "two.tar.gz"):
        split_archive(
            tmp_path / "parts",
            {f"images/{n}.png": encoded("PNG", n) for n in range(3)},
            stem=stem,
            parts=2,
        )
    assert (
        run(
            [
                "shard",
                str(tmp_path / "parts"),
                "-o",
                str(tmp_path / "out"),
                "--label",
                "generated",
                "--limits.samples",
                "2",
            ]
        )
        == 0
    )
    (tmp_path / "out" / "train-parts-000002.tar").unlink()
    assert (
        run(
            [
                "shard",
                str(tmp_path / "parts"),
                "-o",
                str(tmp_path / "out"),
                "--label",
                "generated",
                "--limits.samples",
                "2",
            ]
        )
        == 0
    )
    paths = [json.loads(sample["json"])["source_path"] for sample in samples(tmp_path / "out")]
    assert sorted(paths) == sorted(
        f"{stem}/images/{n}.png" for stem in ("one.tar.gz", "two.tar.gz") for n in range(3)
    )
