"""Split archives, folders and shards into WebDataset shards, through the command, with every trap of the published data set."""

import gzip
import hashlib
import io
import json
import tarfile
from functools import partial

import fsspec
import numpy as np
import pytest
import webdataset as wds
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datamodules.__main__ import main
from datamodules.fake2m.origin import hash_fraction
from datamodules.fake2m.subset_writer import free_key
from engine.cli import run as run_command

run = partial(run_command, main)


def encoded(codec, seed=0, size=(24, 16), **options):
    levels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, format=codec, **options)
    return buffer.getvalue()


FILES = {
    "IF-CC95K/IF-dpmsolver++-10-15K/7.png": encoded("PNG", 1),
    "IF-CC95K/IF-dpmsolver++-10-15K/8.png": encoded(
        "JPEG", 2, quality=100, subsampling=0
    ),  # JPEG by another name
    "IF-CC95K/IF-dpmsolver++-10-15K/9.png": encoded("WEBP", 3),
    "IF-CC95K/IF-CC95K/IF-ddim-25-15K/7.png": encoded("PNG", 4),  # nested once more
    "IF-CC95K/IF-ddim-25-15K/v1.5_001.png": encoded("PNG", 5),  # a dot in the name
    "IF-CC95K/IF-ddim-25-15K/v1_5_001.png": encoded("PNG", 6),  # and the name that it turns into
    "IF-CC95K/IF-ddim-25-15K/broken.png": b"\x89PNG\r\n\x1a\nnothing more",
    "IF-CC95K/readme.txt": b"hello",
}
METADATA = """FakeImageDataset/ImageData/val/IF-CC95K/IF-dpmsolver++-10-15K/7.png 0
FakeImageDataset/ImageData/val/IF-CC95K/IF-dpmsolver++-10-15K/8.png 0
FakeImageDataset/ImageData/val/IF-CC95K/IF-ddim-25-15K/7.png 0
FakeImageDataset/ImageData/val/IF-CC95K/IF-ddim-25-15K/v1.5_001.png 1
FakeImageDataset/ImageData/val/IF-CC95K/IF-ddim-25-15K/gone.png 0
"""


def split_archive(folder, files, stem="IF-CC95K.tar.gz", parts=12):
    """Cut into so many parts with unpadded numbers, so that their order as text is wrong."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    folder.mkdir(parents=True, exist_ok=True)
    whole, size = buffer.getvalue(), -(-len(buffer.getvalue()) // parts)
    for number in range(parts):
        (folder / f"{stem}.{number}").write_bytes(whole[number * size : (number + 1) * size])
    return folder


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "metadata.csv").write_text(METADATA)
    return split_archive(tmp_path / "parts", FILES)


def samples(folder):
    """Every sample as WebDataset itself reads them."""
    return list(
        wds.WebDataset([str(path) for path in sorted(folder.glob("*.tar"))], shardshuffle=False)
    )


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
    kept = [
        {
            json.loads(s["json"])["source_path"]
            for s in shard(tmp_path / "out", f"calibration-{name}")
        }
        for name in ("sd", "if")
    ]
    assert kept[0] == kept[1], "pictures of one caption are on one side"


def shard(folder, stem):
    return list(
        wds.WebDataset(
            [str(path) for path in sorted(folder.glob(f"{stem}-*.tar"))], shardshuffle=False
        )
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "--label", "real"], "nowhere: no such folder"),
        (["."], "give --set with the name of a Fake2M or MPBench archive, or a source and --label"),
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


def test_one_caption_is_on_one_side_however_its_number_is_written():
    assert hash_fraction("a/7.png") == hash_fraction("000000007.jpg")
    assert 0 <= hash_fraction("a/x.png") < 1
