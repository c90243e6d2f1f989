"""Activation and search from Python agree with the commands, and need no files."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.cli import run
from images.io import open_photo, save_png
from indexing import ActivationConfig, Activator, Index
from indexing.__main__ import main


def test_find_agrees_with_search(index, extractor, originals, tmp_path):
    command = [
        "search",
        str(originals),
        "-o",
        str(tmp_path / "m.csv"),
        "--index",
        str(index),
        "--extractor.name",
        str(extractor),
    ]
    assert run(main, [*command, "--k", "3", "--workers=0"]) == 0
    files = sorted(originals.iterdir())
    found = Index.open(index).find(files, k=3)
    with (tmp_path / "m.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    rows.sort(key=lambda row: (row["query"], int(row["rank"])))
    assert [(Path(row["query"]).name, int(row["rank"]), row["match"]) for row in rows] == [
        (Path(match.query).name, match.rank, match.match) for matches in found for match in matches
    ]
    for column in ("distance", "similarity"):
        assert [float(row[column]) for row in rows] == pytest.approx(
            [getattr(match, column) for part in found for match in part], abs=1e-5
        )


def test_images_are_added_in_memory_and_found(index, originals, tmp_path):
    opened, files = Index.open(index), sorted(originals.iterdir())
    opened.add_images(["mine/0", "mine/1"], [Image.open(files[0]), files[1]])
    assert "mine/0" in [
        match.match for match in opened.find(files[0], k=3, parameters="nprobe=4")[0]
    ]
    opened.save(tmp_path / "index")
    assert Index.open(tmp_path / "index").names[-2:] == ["mine/0", "mine/1"]
    assert len(Index.open(index)) == 100
    with pytest.raises(ValueError, match="1 names for 2 images"):
        opened.add_images(["a"], files[:2])
    with pytest.raises(ValueError, match="twice"):
        opened.add_images(["mine/0"], files[:1])


def test_activate_agrees_with_the_command(index, extractor, originals, tmp_path):
    command = [
        "activate",
        str(originals),
        "-o",
        str(tmp_path / "out"),
        "--index",
        str(index),
        "--extractor.name",
        str(extractor),
    ]
    assert run(main, [*command, "--activation.min_psnr=42", "--workers=0", "--batch-size=1"]) == 0
    file = min(originals.iterdir())
    changed = Activator.open(index, ActivationConfig(min_psnr=42)).activate_images(file)[0]
    assert (changed.photo.rgb == open_photo(tmp_path / "out" / file.name).rgb).all()
    assert changed.psnr >= 42
    result = changed.indices["index"]
    assert changed.activated
    assert result.found
    assert result.nearer
    assert changed.name == str(file)


def test_transparent_images_are_described_as_seen_on_white(index, originals, tmp_path):
    opened = Index.open(index)
    photo = open_photo(next(originals.glob("*.png")))
    alpha = np.arange(photo.rgb.shape[0] * photo.rgb.shape[1], dtype=np.uint32) % 256
    glass = replace(photo, alpha=alpha.reshape(photo.rgb.shape[:2]).astype(np.uint8))
    save_png(glass, tmp_path / "glass.png")
    by_hand = Image.new("RGB", photo.rgb.shape[1::-1], "white")
    image = Image.open(tmp_path / "glass.png")
    by_hand.paste(image, mask=image.getchannel("A"))
    rows = opened.describe([tmp_path / "glass.png", by_hand, photo]).matrix
    assert np.abs(rows[0] - rows[1]).max() < 1e-4
    assert np.abs(rows[0] - rows[2]).max() > 1e-2
