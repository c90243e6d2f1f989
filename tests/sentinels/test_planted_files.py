"""Planted files imitate their sources, however odd."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.cli import run
from images.headers import read_header
from images.io import open_photo, save_png
from images.photo import Photo
from images.traits import file_traits
from sentinels.__main__ import main
from sentinels.plant import PlantConfig
from sentinels.record import Record
from sentinels.verify import verify
from tests.sentinels.planting import planted


@pytest.mark.parametrize("names", ["neutral", "prefixed"])
def test_odd_files_are_planted_and_never_written_over(collection, tmp_path, names):
    """Blanks, other scripts, capitals, repeated names, and files that are not images."""
    png, jpg = (collection / "00000" / name for name in ("000000001.png", "000000004.jpg"))
    odd = [
        "Summer 2019/photo (1).png",
        "\u0444\u043e\u0442\u043e\u0433\u0440\u0430\u0444\u0438\u044f.png",
        "\u5199\u771f/1.png",
        "1.png",
        "x.JPG",
        "x.png",
    ]
    for number, name in enumerate(odd):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("JPG"):
            (tmp_path / "photos" / name).write_bytes(jpg.read_bytes())
        else:
            save_png(
                Photo(np.roll(open_photo(png).rgb, 20 * number, axis=1)), tmp_path / "photos" / name
            )
    (tmp_path / "photos" / "mislabelled.jpg").write_bytes(
        (collection / "00001" / "000000000.png").read_bytes()
    )
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "photos" / "empty").mkdir()
    report = planted(
        tmp_path / "photos", tmp_path / "out", PlantConfig(count=8, seed=1, names=names)
    )
    assert list(report.failed) == ["broken.jpg"]
    record = Record.open(tmp_path / "out" / "record.json")
    assert set(record.sentinels) == {*odd, "mislabelled.jpg"}
    made = {name: path for name, _, path in record.pairs()}
    assert len(set(made.values())) == 7
    for name, path in made.items():
        is_own = path.relative_to(tmp_path / "out" / "images") == Path(name)
        assert is_own == (names == "neutral")
        source = (tmp_path / "photos" / name).read_bytes()
        assert file_traits(path.read_bytes()) == file_traits(source)
    assert not [finding for finding in verify(record) if finding.level == "error"]


def test_a_file_that_cannot_be_imitated_is_told(collection, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    rgb = Image.fromarray(open_photo(collection / "00000" / "000000000.png").rgb)
    rgb.convert("CMYK").save(tmp_path / "photos" / "print.jpg")
    command = ["plant", str(tmp_path / "photos"), "-o", str(tmp_path / "out"), "--reader", "none"]
    assert run(main, [*command, "--count", "1"]) == 0
    told = capsys.readouterr()
    assert "print.jpg: its file is not like its source's: RGB instead of CMYK" in told.err
    assert "replace those of the same names" in told.out
    (sentinel,) = Record.open(tmp_path / "out" / "record.json").sentinels.values()
    assert sentinel.provenance["differences"] == ["RGB instead of CMYK"]


def test_names_that_are_no_text_are_planted(collection, tmp_path):
    photos = shutil.copytree(collection, tmp_path / "photos")
    for number, path in enumerate(sorted(photos.rglob("*.png"))):
        os.rename(path, os.fsencode(path.parent) + b"/\xff%d.png" % number)
    assert (
        run(
            main,
            [
                "plant",
                str(photos),
                "-o",
                str(tmp_path / "out"),
                "--reader",
                "none",
                "--count",
                "9",
                "--seed",
                "1",
            ],
        )
        == 0
    )
    assert len(Record.open(tmp_path / "out" / "record.json").sentinels) == 9


def test_sentinels_have_the_codecs_of_their_sources(collection, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, path in enumerate(sorted(collection.rglob("*.png"))[:2]):
        with Image.open(path) as image:
            image.save(photos / f"{number}{('.gif', '.avif')[number]}")
    assert not planted(photos, tmp_path / "out", PlantConfig(count=2, seed=1)).failed
    codecs = []
    for _, sentinel, path in Record.open(tmp_path / "out" / "record.json").pairs():
        codecs.append(read_header(path.read_bytes()).codec)
        assert "differences" not in sentinel.provenance
        assert path.suffix == f".{codecs[-1]}"
    assert sorted(codecs) == ["avif", "gif"]
