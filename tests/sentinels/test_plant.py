"""A planted folder: its files, record, settings and failures."""

import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from engine.cli import run
from images.headers import read_header
from images.io import open_photo
from images.traits import file_traits
from sentinels.__main__ import main
from sentinels.plant import PlantConfig
from sentinels.planters import LocalPlanter
from sentinels.record import Record
from sentinels.verify import verify
from tests.sentinels.planting import planted


def test_sentinels_look_like_files_of_the_collection(collection, tmp_path):
    report = planted(collection, tmp_path / "out", PlantConfig(count=9, seed=1))
    record = Record.open(tmp_path / "out" / "record.json")
    assert not report.failed
    assert len(record.sentinels) == 9
    assert {"00000/000000001.png", "00001/000000001.png", "00000/000000004.jpg"} <= set(
        record.sentinels
    )
    images = tmp_path / "out" / "images"
    for name, sentinel, path in record.pairs():
        source = collection / name
        assert path == images / name == images / sentinel.published
        assert read_header(path.read_bytes()) == read_header(source.read_bytes())
        assert file_traits(path.read_bytes()) == file_traits(source.read_bytes())
        assert path.stat().st_mtime_ns == source.stat().st_mtime_ns
        assert path.stat().st_mode == source.stat().st_mode
        assert record.locate(sentinel.original) == source
        assert path.read_bytes() != source.read_bytes()
    assert record.withheld == list(record.sentinels)
    content = json.loads((tmp_path / "out" / "record.json").read_text())
    assert content["provenance"]["withhold"] == record.withheld
    assert [finding for finding in verify(record) if finding.level == "error"] == []
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["finished"]
    assert manifest["keys_read_back"] is False


def test_what_is_secret_is_for_its_owner_from_the_first_byte(collection, tmp_path, monkeypatch):
    modes = []
    replace = os.replace

    def watch(partial, target):
        modes.append((Path(target).name, Path(partial).stat().st_mode & 0o777))
        replace(partial, target)

    monkeypatch.setattr(os, "replace", watch)
    umask = os.umask(0o022)
    try:
        planted(collection, tmp_path / "out", PlantConfig(count=2, seed=1))
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(umask)
    assert {"record.json", "sources.json", "manifest.json"} <= {name for name, _ in modes}
    assert {mode for _, mode in modes} == {0o600}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    for file in (tmp_path / "out").iterdir():
        assert file.is_dir() or file.stat().st_mode & 0o777 == 0o600
        file.chmod(0o700 if file.is_dir() else 0o644)  # as earlier versions left it
    planted(collection, tmp_path / "out", PlantConfig(count=2, seed=1))
    assert (tmp_path / "out" / "journal.jsonl").stat().st_mode & 0o777 == 0o600


def test_prefixed_sentinels_stand_beside_their_sources(collection, tmp_path):
    config = PlantConfig(count=9, seed=1, names="prefixed")
    planted(collection, tmp_path / "out", config)
    record = Record.open(tmp_path / "out" / "record.json")
    assert record.withheld == []
    published = {sentinel.published for sentinel in record.sentinels.values()}
    assert len(published) == 9
    assert "00000/sentinel_000000004.jpg" in published
    assert "00001/sentinel_00001_000000001_png.png" in published


def test_other_settings_are_kept_out_of_a_folder(collection, tmp_path):
    planted(collection, tmp_path / "out", PlantConfig(count=2, seed=1))
    with pytest.raises(ValueError, match="other settings"):
        planted(collection, tmp_path / "out", PlantConfig(count=3, seed=1))
    with pytest.raises(ValueError, match="lies inside"):
        planted(collection, collection / "out", PlantConfig(count=2))
    with pytest.raises(ValueError, match="lower count"):
        planted(collection, tmp_path / "more", PlantConfig(count=99))
    assert not (tmp_path / "more").exists()  # the mistake can be mended


@pytest.mark.parametrize(
    "content", ["[]", '{"seed": "x", "sources": []}', '{"sources": ["a"]}', '{"seed": 1, "sou']
)
def test_a_damaged_list_of_sources_is_named(collection, tmp_path, content):
    planted(collection, tmp_path / "out", PlantConfig(count=2))
    (tmp_path / "out" / "sources.json").write_text(content)
    with pytest.raises(ValueError, match=r"sources\.json: damaged"):
        planted(collection, tmp_path / "out", PlantConfig(count=2))


def test_a_key_is_read_in_the_view_of_retrievers(collection, tmp_path):
    shapes = []

    async def reader(rgb):
        shapes.append(rgb.shape)
        return "x".join(current)

    current = []

    class Watched(LocalPlanter):
        async def plant(self, source, key, *args):
            current[:] = [key]
            return await super().plant(source, key, *args)

    config = PlantConfig(count=2, seed=1, concurrency=1)
    report = planted(collection, tmp_path / "out", config, reader, planter=Watched())
    assert not report.failed
    assert set(shapes) == {(224, 224, 3)}
    for sentinel in Record.open(tmp_path / "out" / "record.json").sentinels.values():
        corners = np.array(sentinel.provenance["plate"])
        assert corners.shape == (4, 2)
        assert (np.abs(corners[:, 0] - 59.5) <= 40).all()
        assert sentinel.provenance["read_in_view"] == 224


def test_an_illegible_key_is_tried_again_and_given_up(collection, tmp_path):
    read = []

    async def blind(rgb):
        read.append(rgb)
        return ""

    report = planted(collection, tmp_path / "out", PlantConfig(count=1, seed=1, attempts=3), blind)
    assert len(read) == 3
    assert "not legible" in next(iter(report.failed.values()))
    assert not Record.open(tmp_path / "out" / "record.json").sentinels


def test_a_sentinel_that_looks_like_another_source_is_refused(collection, tmp_path):
    other = open_photo(collection / "00000" / "000000000.png").rgb

    class Confused(LocalPlanter):
        async def plant(self, source, *args):
            made = await super().plant(source, *args)
            return type(made)(other)

    report = planted(
        collection, tmp_path / "out", PlantConfig(count=9, seed=1, attempts=1), planter=Confused()
    )
    assert set(Record.open(tmp_path / "out" / "record.json").sentinels) == {"00000/000000000.png"}
    assert all("looks more like" in reason for reason in report.failed.values())


def test_the_command_plants_and_says_what_was_not_checked(collection, tmp_path, capsys):
    output = tmp_path / "out"
    assert (
        run(
            main,
            [
                "plant",
                str(collection),
                "-o",
                str(output),
                "--count",
                "3",
                "--seed",
                "1",
                "--reader",
                "none",
            ],
        )
        == 0
    )
    assert "NOT read back" in capsys.readouterr().out
    assert run(main, ["verify", str(output / "record.json")]) == 0
    assert (
        run(
            main,
            [
                "plant",
                str(collection),
                "-o",
                str(output),
                "--planter",
                "diffusion",
                "--reader",
                "none",
            ],
        )
        == 2
    )
    assert "--model" in capsys.readouterr().err


def test_a_collection_in_tar_files_is_refused_with_what_is_allowed(collection, tmp_path):
    shard = tmp_path / "shards" / "a.tar"
    shard.parent.mkdir()
    with tarfile.open(shard, "w") as archive:
        archive.add(collection / "00000" / "000000000.png", "0.png")
    for given, reason in (
        (shard, "a file; sources are image files in a folder"),
        (shard.parent, "images of this folder are in tar files; unpack these"),
    ):
        with pytest.raises(ValueError, match=reason):
            planted(given, tmp_path / "out", PlantConfig(count=1))
    assert not (tmp_path / "out").exists()


def test_nothing_is_published_where_no_sentinel_could_be_planted(collection, tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    whole = (collection / "00000" / "000000000.png").read_bytes()
    (photos / "a.png").write_bytes(whole[: len(whole) // 2])
    command = ["plant", str(photos), "-o", str(tmp_path / "out"), "--reader", "none"]
    assert run(main, [*command, "--count", "1"]) == 1
    told = capsys.readouterr()
    assert f"{photos / 'a.png'}: damaged" in told.err
    assert "publish" not in told.out
