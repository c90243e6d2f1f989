"""What a thief does to a collection, through the command."""

import csv
import json
from functools import partial

import numpy as np
import pytest
import torch

from engine.cli import run
from eval.__main__ import main
from eval.attacks.rag.adaptive_attacks import TRANSPARENT, DropTextImages, InpaintText
from eval.attacks.rag.text_finders import FoundText, open_finder
from images.io import open_photo
from images.transforms.codecs import jpeg
from models.image_text_net import ImageTextNet
from sentinels.plant import PlantConfig, plant
from sentinels.planters import LocalPlanter
from sentinels.record import Record


@pytest.fixture
def stolen(collection, tmp_path, pipelines):
    """Three sentinels, a reader that sees letters everywhere, and one that sees none.

    The value is the arguments of the command.
    """
    torch.manual_seed(0)
    for name, threshold in (("all", 0.0), ("none", 1.0)):
        ImageTextNet(
            ["a", "red", "thing"], side=64, reader=(4, 4, 8), looks=(4, 8), threshold=threshold
        ).save_pretrained(tmp_path / name)
    plant(collection, tmp_path / "s", LocalPlanter(), PlantConfig(count=3, seed=3), None)
    named = [str(path.relative_to(collection)) for path in sorted(collection.rglob("*[01].png"))]
    captions = [{"image_file": name, "caption": "a red thing"} for name in named]
    (tmp_path / "captions.json").write_text(json.dumps(captions))
    blind = str(tmp_path / "none")
    made = [
        "rag-robustness",
        "--record",
        str(tmp_path / "s" / "record.json"),
        "--database.originals",
        str(collection),
    ]
    made += [
        "--database.embedder",
        blind,
        "--database.accelerator",
        "cpu",
        "--database.captions",
        str(tmp_path / "captions.json"),
    ]
    made += [
        "--generator",
        "ImageToImageGenerator",
        "--generator.model",
        pipelines[0],
        "--generator.steps",
        "3",
        "--judge",
        "ReadingJudge",
    ]
    return [
        *made,
        "--judge.reader",
        blind,
        "--decision.similarity",
        blind,
        "--flow.mode",
        "search_first",
    ]


def test_every_edit_is_a_row(stolen, collection, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        "eval.attacks.rag.thieves.DropTextImages", partial(DropTextImages, letters=0)
    )  # an untrained reader finds any number of letters
    arguments = [
        *stolen,
        "--reader",
        str(tmp_path / "all"),
        "--edits",
        "[none,jpeg,inpainted,deleted]",
        "-o",
        str(tmp_path / "out"),
    ]
    assert run(main, arguments) == 0, capsys.readouterr().err
    with (tmp_path / "out" / "robustness.csv").open() as stream:
        rows = {row["edit"]: row for row in csv.DictReader(stream)}
    assert list(rows) == ["none", "jpeg", "inpainted", "deleted"]
    for name in ("none", "jpeg", "inpainted"):
        assert (
            rows[name]["originals_lost"],
            rows[name]["sentinels_kept"],
            rows[name]["failed"],
        ) == ("0", "3", "0")
        assert 0 < float(rows[name]["p"]) <= 1
        assert 0 <= float(rows[name]["recall_at_10_without"]) <= 1
        assert " to " in rows[name]["recall_at_10_without_interval"]
        assert rows[name]["comparisons"] == "3"
        assert float(rows[name]["p_holm"]) >= float(rows[name]["p"])
    assert (
        rows["deleted"]["originals_lost"],
        rows["deleted"]["sentinels_kept"],
        rows["deleted"]["p"],
    ) == (rows["deleted"]["originals"], "0", "")
    ((name, _, path), *_) = Record.open(tmp_path / "s" / "record.json").pairs()
    place = path.relative_to(tmp_path / "s")
    for edit, expected in (
        ("none", open_photo(path).rgb),
        ("jpeg", jpeg(open_photo(path).rgb, 50)),
    ):
        assert (open_photo(tmp_path / "out" / edit / place).rgb == expected).all()
        assert not (tmp_path / "out" / edit / "originals" / name).exists()  # it was replaced
        assert len(list((tmp_path / "out" / edit / "originals").rglob("*.*"))) == 6
    assert (open_photo(tmp_path / "out" / "inpainted" / place).rgb != open_photo(path).rgb).any()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["finished"]
    assert len(manifest["rows"]) == 4
    before = {
        path: path.read_bytes() for path in (tmp_path / "out" / "jpeg" / "run").rglob("*.png")
    }
    assert (
        run(main, [*arguments[:-3], "[jpeg,halved]", *arguments[-2:]]) == 0
    )  # goes on with other edits
    assert {path: path.read_bytes() for path in before} == before
    assert "halved" in (tmp_path / "out" / "robustness.csv").read_text()
    capsys.readouterr()
    assert run(main, [*arguments, "--seed", "4"]) == 2
    assert "other settings" in capsys.readouterr().err
    assert run(main, [*arguments[:-3], "[melted]", *arguments[-2:]]) == 2
    assert "no edit 'melted'; there are none, jpeg" in capsys.readouterr().err


def test_an_unreadable_original_is_told_and_left_out(stolen, collection, tmp_path, capsys, caplog):
    for path in collection.rglob("*.*"):
        target = tmp_path / "photos" / path.relative_to(collection)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no picture")
    stolen[stolen.index("--database.originals") + 1] = str(tmp_path / "photos")
    assert (
        run(
            main,
            [
                *stolen,
                "--reader",
                str(tmp_path / "none"),
                "--edits",
                "[none]",
                "-o",
                str(tmp_path / "out"),
            ],
        )
        == 0
    )
    told = capsys.readouterr()
    assert "originals 6" in told.out
    assert "broken.jpg" in caplog.text


def test_thieves_who_look_at_names_files_copies_and_keys(stolen, collection, tmp_path, capsys):
    """Prefixed sentinels beside their sources, as the published program's, are all dropped.

    The owner queries all keys; a thief who searches for no key finds no sentinel.
    """
    config = PlantConfig(count=3, seed=3, names="prefixed")
    plant(collection, tmp_path / "prefixed", LocalPlanter(), config, None)
    stolen[stolen.index("--record") + 1] = str(tmp_path / "prefixed" / "record.json")
    out = tmp_path / "out"
    edits = "[names,metadata,key_pattern]"
    made = [*stolen, "--reader", str(tmp_path / "none"), "--edits", edits, "-o", str(out)]
    assert run(main, made) == 0, capsys.readouterr().err
    with (out / "robustness.csv").open() as stream:
        rows = {row["edit"]: row for row in csv.DictReader(stream)}
    assert {row["keys"] for row in rows.values()} == {"3"}
    assert {row["originals"] for row in rows.values()} == {"9"}
    assert rows["names"]["sentinels_kept"] == "0"
    assert rows["names"]["originals_lost"] == "1", "the only JPEG"
    assert rows["names"]["hit_at_1"] == rows["key_pattern"]["hit_at_1"] == "0.0"
    assert not (out / "names" / "images").exists()
    assert rows["metadata"]["originals_lost"] == "1", "the only JPEG"
    assert rows["key_pattern"]["sentinels_kept"] == "3"
    assert rows["key_pattern"]["captions_refused"] == "0.0"
    assert rows["key_pattern"]["captions_refused_interval"].startswith("0.000 to 0.")
    assert rows["key_pattern"]["captions"] == "4"
    answers = json.loads((out / "key_pattern" / "run" / "protected" / "out.json").read_text())
    (trial,) = next(iter(answers.values()))["trials"]
    assert trial["result"] == "nothing found"
    assert trial["initial_image"]
    told = "".join(capsys.readouterr())
    assert "evades" in told


def test_text_is_found_inpainted_and_counted():
    corners = np.array([[20, 20], [60, 20], [60, 40], [20, 40]], np.float32)
    rgb = np.full((64, 96, 3), 200, np.uint8)
    rgb[20:40, 20:60] = 0

    def finder(image):
        return [FoundText("AB C1", corners)]

    cleaned = InpaintText(finder)(rgb, np.random.default_rng(0))
    assert cleaned.min() > 150
    assert InpaintText(lambda image: [])(rgb, np.random.default_rng(0)) is rgb
    assert DropTextImages(finder, 3)(rgb, np.random.default_rng(0)) is None
    assert DropTextImages(finder, 4)(rgb, np.random.default_rng(0)) is rgb
    with pytest.raises(ValueError, match="finds text by ocr"):
        open_finder("service")


@pytest.mark.parametrize("name", ["jpeg", "halved", "cropped"])
def test_transparent_edits_keep_size_and_most_of_the_picture(name):
    def edit(image):
        return TRANSPARENT[name](image, np.random.default_rng(0))

    rgb = np.kron(
        np.random.default_rng(0).integers(60, 200, (5, 7, 3), dtype=np.uint8),
        np.ones((16, 16, 1), np.uint8),
    )
    assert edit(rgb).shape == rgb.shape
    assert edit(rgb).dtype == np.uint8
    assert 0 < np.abs(edit(rgb).astype(int) - rgb).mean() < 40
