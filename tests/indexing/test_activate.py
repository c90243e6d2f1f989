"""indexing activate."""

import json

import numpy as np
import torch
from PIL import Image

from indexing.activate import group_by_pixels
from indexing.index import Index
from tests.indexing.commands import activate, indexing, table


def test_released_pictures_are_found_again(originals, own_index, extractor, tmp_path, capsys):
    out = tmp_path / "out"
    assert activate(originals, out, own_index, extractor, "--activation.distortion.scaling=6") == 0
    rows = table(out / "activated.csv")
    assert [row["source"] for row in rows] == [f"{number:04d}.png" for number in range(6)]
    assert all(float(row["distance_after"]) < float(row["distance_before"]) for row in rows)
    for row in rows:
        before, after = (
            np.asarray(Image.open(folder / row["output"]), np.int16) for folder in (originals, out)
        )
        assert before.shape == after.shape
        assert np.abs(after - before).max() == int(row["levels"]) > 0
    assert indexing("add", own_index, out / "originals") == 0
    assert Index.open(own_index).names[100:] == [
        str(originals / f"{number:04d}.png") for number in range(6)
    ]
    found = tmp_path / "found" / "matches.csv"
    search = (
        "search",
        out / "0001.png",
        out / "0003.png",
        "-o",
        found,
        "--index",
        own_index,
        "--extractor.name",
        extractor,
    )
    assert indexing(*search, "--k=3", "--html", "--workers=0", "--parameters", "nprobe=4") == 0
    assert "2 images with their nearest entries, without verdicts" in capsys.readouterr().out
    assert {row["query"]: row["match"] for row in table(found) if row["rank"] == "1"} == {
        str(out / name): str(originals / name) for name in ("0001.png", "0003.png")
    }
    page = found.with_suffix(".html").read_text()
    assert page.count('<section class="match') == 2
    assert page.count("data:image/jpeg") == 8
    assert page.count('<div class="pair">') == 2
    assert json.loads((out / "manifest.json").read_text())["counts"] == {
        "done": 6,
        "failed": 0,
        "skipped": 0,
    }


def test_a_stopped_activation_goes_on(originals, index, extractor, tmp_path, capsys):
    out = tmp_path / "out"
    assert activate(originals, out, index, extractor) == 0
    whole = {path.name: path.read_bytes() for path in out.glob("*.png")}
    rows = (out / "activated.csv").read_text().splitlines()
    (out / "activated.csv.partial").write_text("\n".join(rows[:4]) + "\n" + rows[4][:9])
    (out / "0005.png").unlink()
    kept = (out / "0001.png").stat().st_mtime_ns
    assert activate(originals, out, index, extractor) == 0
    assert (out / "0001.png").stat().st_mtime_ns == kept
    assert whole.keys() == {path.name for path in out.glob("*.png")}
    assert len(table(out / "activated.csv")) == 6
    assert activate(originals, out, index, extractor, "--activation.iterations=3") == 2
    assert "other settings" in capsys.readouterr().err
    assert activate(originals, out, index, extractor, "--batch-size=2") == 2
    assert "batch_size" in capsys.readouterr().err


def test_limits_hold_in_the_files(originals, index, extractor, tmp_path):
    limits = (
        "--activation.min_psnr=44",
        "--activation.max_levels=5",
        "--activation.distortion.scaling=8",
    )
    assert activate(originals, tmp_path / "out", index, extractor, *limits) == 0
    for row in table(tmp_path / "out" / "activated.csv"):
        assert float(row["psnr"]) >= 44
        assert int(row["levels"]) <= 5


def test_nothing_passes_for_activated_that_is_not(originals, index, extractor, tmp_path, capsys):
    assert activate(originals, tmp_path / "out", index, extractor, "--activation.min_psnr=99") == 1
    assert capsys.readouterr().err.count("the limits leave no change") == 6
    assert not list((tmp_path / "out").glob("*.png"))


def test_large_pictures_are_taken_in_portions():
    pictures = [torch.empty(3, side, side) for side in (10, 3000, 3000, 5000, 20, 30)]
    assert [
        [picture.shape[-1] for picture in portion] for portion in group_by_pixels(pictures)
    ] == [[10, 3000], [3000], [5000], [20, 30]]


def test_one_picture_for_several_indices(originals, index, extractor, references, tmp_path):
    torch.manual_seed(8)
    from models.copy_net import CopyNet

    CopyNet(image_size=32, channels=(8, 8), descriptor=8).save_pretrained(tmp_path / "other")
    indexing(
        "extract",
        references,
        "-o",
        tmp_path / "f",
        "--extractor.name",
        tmp_path / "other",
        "--workers=0",
    )
    assert indexing("build", tmp_path / "f", "-o", tmp_path / "lsh", "--factory", "PCA8,LSH") == 0
    names = json.dumps([str(extractor), str(tmp_path / "other")])
    assert (
        activate(
            originals,
            tmp_path / "out",
            index,
            extractor,
            "--index",
            index,
            tmp_path / "lsh",
            "--extractors",
            names,
        )
        == 0
    )
    assert (
        len(json.loads((tmp_path / "out" / "manifest.json").read_text())["settings"]["indices"])
        == 2
    )


def test_an_exact_index_needs_edited_views(originals, references, extractor, tmp_path, capsys):
    indexing(
        "extract", references, "-o", tmp_path / "f", "--extractor.name", extractor, "--workers=0"
    )
    assert indexing("build", tmp_path / "f", "-o", tmp_path / "flat", "--factory", "HNSW8") == 0
    assert activate(originals, tmp_path / "out", tmp_path / "flat", extractor) == 2
    assert "stores exact descriptors" in capsys.readouterr().err
    assert (
        activate(originals, tmp_path / "out", tmp_path / "flat", extractor, "--activation.views=2")
        == 0
    )
