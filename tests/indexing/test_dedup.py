"""Groups of copies in a collection."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from engine.cli import run
from indexing.__main__ import main
from indexing.dedup import Evidence, calibrated, group, near_descriptors
from models.store import VectorStore
from tests.indexing.commands import table
from tiny.collages import collage


def unit(rng, count, dimension=16):
    rows = rng.normal(size=(count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def album(tmp_path):
    """Three drawings; one of them twice more, as the same file and as a small JPEG."""
    folder = tmp_path / "album"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(collage(900 + number)).resize((320, 240)).save(folder / f"{number}.png")
    shutil.copy(folder / "1.png", folder / "again.png")
    Image.open(folder / "1.png").resize((200, 150)).save(folder / "small.jpg", quality=60)
    return folder


def test_copies_are_grouped_by_file_and_by_hash(album, tmp_path, capsys):
    (album / "broken.png").write_text("no image")
    out = tmp_path / "groups.csv"
    assert run(main, ["dedup", str(album), "-o", str(out), "--html"]) == 1
    told = capsys.readouterr()
    assert "5 images: 3 in 1 group of copies, 2 more than one of each" in told.out
    assert "Descriptors were not compared" in told.out
    assert "broken.png" in told.err
    rows = {row["image"].rpartition("/")[2]: row for row in table(out)}
    assert rows.keys() == {"1.png", "again.png", "small.jpg", "broken.png"}
    assert rows.pop("broken.png")["error"]
    assert {row["group"] for row in rows.values()} == {"1"}
    assert rows["again.png"]["evidence"] == "file+pdq"
    assert rows["again.png"]["pdq"] == "0"
    assert rows["small.jpg"]["evidence"] == "pdq"
    page = out.with_suffix(".html").read_text()
    assert page.count("data:image/jpeg") == 3
    assert run(main, ["dedup", str(album), "-o", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_descriptors_find_copies_too_and_json_has_the_groups(album, tmp_path, capsys):
    options = ["--threshold=0.98", "--workers=0"]
    out = tmp_path / "groups.csv"
    assert run(main, ["dedup", str(album), "-o", str(out), *options, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [len(images) for images in told["groups"]] == [3]
    evidence = {row["image"].rpartition("/")[2]: row["evidence"] for row in table(out)}
    assert evidence["again.png"] == "file+pdq+descriptor"
    features = tmp_path / "f"
    assert run(main, ["extract", str(album), "-o", str(features), *options[1:]]) == 0
    assert run(main, ["dedup", str(features), "-o", f"{tmp_path}/g.csv"]) == 2
    assert "descriptors need a limit" in capsys.readouterr().err
    assert run(main, ["dedup", str(features), "-o", f"{tmp_path}/g.csv", "--threshold=0.98"]) == 0
    assert {row["image"] for row in table(tmp_path / "g.csv")} >= {
        str(album / "1.png"),
        str(album / "again.png"),
    }


@pytest.mark.parametrize("strangers", [150, 400])  # without and with normalized scores
def test_images_without_a_copy_are_grouped_at_the_stated_rate_at_most(strangers, tmp_path):
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(8):
        rows = unit(rng, 400)
        rows[390:] = rows[:10] + 0.001
        store = VectorStore(rows, [f"{number}" for number in range(400)], {})
        others = VectorStore(unit(rng, strangers), [f"b{n}" for n in range(strangers)], {})
        others.write(tmp_path / "b")
        judge = calibrated(store, tmp_path / "b", 0.02)
        pairs = near_descriptors(store, judge)
        assert pairs.keys() >= {(number, 390 + number) for number in range(10)}
        members = group(store.names, Evidence(descriptors=pairs))
        copies = {*range(10), *range(390, 400)}
        grouped = {int(member.image) for member in members} - copies
        shares.append(len(grouped) / 380)
    assert np.mean(shares) <= 0.02


def test_too_few_strangers_are_refused_and_no_copies_are_no_groups(tmp_path):
    rng = np.random.default_rng(1)
    store = VectorStore(unit(rng, 40), [f"{number}" for number in range(40)], {})
    VectorStore(unit(rng, 50), [f"b{number}" for number in range(50)], {}).write(tmp_path / "b")
    with pytest.raises(ValueError, match="this rate takes 99"):
        calibrated(store, tmp_path / "b", 0.01)
    with pytest.raises(ValueError, match="max_fpr must be above 0"):
        calibrated(store, tmp_path / "b", 1.0)
    assert group(store.names, Evidence()) == []
    chained = group(
        "abcde", Evidence(files={(0, 1)}, hashes={(1, 2): 7}, descriptors={(3, 4): 0.9})
    )
    assert [(member.group, member.image) for member in chained] == [
        (1, "a"),
        (1, "b"),
        (1, "c"),
        (2, "d"),
        (2, "e"),
    ]
    assert [member.pdq for member in chained] == [None, 7, 7, None, None]


def test_shapes_in_the_alpha_channel_alone_are_told_apart(tmp_path, capsys):
    icons = tmp_path / "icons"
    icons.mkdir()
    for number in range(3):
        shape = Image.fromarray(collage(900 + number % 2)).resize((320, 240)).convert("L")
        glyph = Image.new("RGBA", shape.size)
        glyph.putalpha(shape)
        glyph.save(icons / f"{number}.png", compress_level=number)
    out = tmp_path / "groups.csv"
    options = ["--threshold=0.98", "--workers=0"]
    assert run(main, ["dedup", str(icons), "-o", str(out), *options]) == 0
    rows = {row["image"].rpartition("/")[2]: row for row in table(out)}
    assert rows.keys() == {"0.png", "2.png"}
    assert rows["0.png"]["evidence"] == "pdq+descriptor"


def test_images_that_were_not_compared_are_counted_and_named(album, tmp_path, capsys):
    for number in range(7):
        Image.new("RGB", (320, 240), (8 * number, 100, 90)).save(album / f"flat{number}.png")
    shutil.copy(album / "flat6.png", album / "flat6 again.png")
    Image.open(album / "1.png").resize((220, 165)).save(album / "1\nof two.png")
    (album / "broken.png").write_text("no image")
    out = tmp_path / "groups.csv"
    command = ["dedup", str(album), "-o", str(out), "--overwrite", "--workers=0"]
    # without descriptors
    assert run(main, command) == 1
    told = capsys.readouterr()
    assert (
        "14 images: 6 in 2 groups of copies, 4 more than one of each; 8 not compared by PDQ, "
        in told.out
    )
    assert "being too flat; 1 failed" in told.out
    assert "Compared by file alone, being too flat for PDQ: " in told.out
    assert "flat4.png and 3 more." in told.out
    rows = {row["image"].rpartition("/")[2]: row for row in table(out)}
    assert "too flat" in rows["flat0.png"]["notes"]
    assert (rows["flat0.png"]["group"], rows["flat0.png"]["error"]) == ("", "")
    assert (rows["flat6.png"]["group"], rows["flat6.png"]["evidence"]) == ("2", "file")
    assert "too flat" in rows["flat6.png"]["notes"]
    assert rows["broken.png"]["error"]
    assert "0.png" not in rows
    # with descriptors, of which one is impossible
    (album / "broken.png").unlink()
    assert run(main, [*command, "--threshold=0.98", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["done"], list(told["failed"]), len(told["not_hashed"])) == (
        13,
        ["1\nof two.png"],
        8,
    )
    rows = {row["image"].rpartition("/")[2]: row for row in table(out)}
    assert "line break" in rows["1\nof two.png"]["error"]
    assert rows["1\nof two.png"]["evidence"] == "pdq"
    (album / "1\nof two.png").unlink()
    assert run(main, [*command, "--threshold=0.98"]) == 0
    assert "Compared by file and descriptor, being too flat" in capsys.readouterr().out
