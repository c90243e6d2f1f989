"""The verbs, through their real entry point."""

import csv
import json
import shutil
import subprocess
import sys

import faiss
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import engine.file_sets
from engine.cli import run
from indexing.__main__ import main
from indexing.activate import group_by_pixels
from indexing.index import Index
from models.store import VectorStore


def indexing(*arguments):
    return run(main, list(map(str, arguments)))


def table(file):
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def own_index(index, tmp_path):
    return shutil.copytree(index, tmp_path / "index")


def activate(originals, out, index, extractor, *more):
    return indexing(
        "activate",
        originals,
        "-o",
        out,
        "--index",
        index,
        "--extractor.name",
        extractor,
        "--workers=0",
        *more,
    )


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


def test_unreadable_pictures_are_named_and_left_out(references, extractor, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(references / "0000.png", folder / "good.png")
    (folder / "bad.png").write_text("no picture")
    (folder / "cut.png").write_bytes((references / "0001.png").read_bytes()[:200])
    (folder / "notes.md").write_text("")
    assert (
        indexing(
            "extract",
            folder,
            "-o",
            tmp_path / "f",
            "--extractor.name",
            extractor,
            "--workers=0",
            "--fts=true",
        )
        == 1
    )
    told = capsys.readouterr().err
    assert "bad.png: not a valid image file" in told
    assert "cut.png: damaged" in told
    assert "skipped notes.md" in told
    features = VectorStore.open(tmp_path / "f")
    assert features.names == [str(folder / "good.png")]
    assert torch.equal(
        torch.load(tmp_path / "f" / "fts.pt", weights_only=True),
        torch.from_numpy(np.array(features.matrix)),
    )


def test_a_stopped_extraction_goes_on(references, extractor, tmp_path):
    out, arguments = (
        tmp_path / "f",
        ("--extractor.name", extractor, "--workers=0", "--batch-size=20"),
    )
    assert indexing("extract", references, "-o", out, *arguments) == 0
    matrix = np.load(out / "features.npy")
    lines = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    for line in lines:
        del line["crc32"]  # lines written by hand, as those of earlier versions, have no sum
    marked = [
        line | {"row": {"part": "vectors-0.partial", "row": place}}
        for place, line in enumerate(lines[:60])
    ]
    (out / "journal.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in marked) + '{"name": "cut sho'
    )
    # Marked values show which rows are not computed again.
    np.full((60, 16), 7, np.float32).tofile(out / "vectors-0.partial")
    for name in ("features.npy", "features.json", "filenames.txt", "images.jsonl"):
        (out / name).unlink()
    assert indexing("extract", references, "-o", out, *arguments) == 0
    again = np.load(out / "features.npy")
    assert (again[:60] == 7).all()
    assert np.array_equal(again[60:], matrix[60:])
    assert not list(out.glob("*.partial"))


def test_two_processes_describe_what_one_describes(references, extractor, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(11):
        shutil.copy(references / f"{number:04d}.png", folder)
    for name in ("0003.png", "0004.png"):  # one for each process
        (folder / name).write_text("no picture")
    arguments = [
        "extract",
        folder,
        "--extractor.name",
        extractor,
        "--workers=0",
        "--accelerator=cpu",
    ]
    assert indexing(*arguments, "-o", tmp_path / "one") == 1
    command = [
        sys.executable,
        "-m",
        "indexing",
        *map(str, arguments),
        "-o",
        str(tmp_path / "two"),
        "--devices=2",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    for told in (capsys.readouterr().err, done.stderr):
        assert [f"{name}: not a valid image file" in told for name in ("0003.png", "0004.png")] == [
            True,
            True,
        ]
    for name in ("features.npy", "filenames.txt", "features.json", "images.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert json.loads((tmp_path / "two" / "manifest.json").read_text())["counts"] == {
        "done": 9,
        "failed": 2,
        "skipped": 0,
    }


class Program(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))


def test_torchscript_only_if_trusted(references, tmp_path, capsys):
    torch.jit.script(Program()).save(tmp_path / "net.torchscript.pt")
    arguments = (
        "extract",
        references,
        "-o",
        tmp_path / "f",
        "--extractor.name",
        tmp_path / "net.torchscript.pt",
        "--workers=0",
    )
    assert indexing(*arguments) == 2
    assert "runs the stranger's code" in capsys.readouterr().err
    assert (
        indexing(*arguments, "--trust-torchscript", "--extractor.size=16", "--extractor.unit=true")
        == 0
    )
    assert np.linalg.norm(VectorStore.open(tmp_path / "f").matrix, axis=1) == pytest.approx(
        np.ones(100), abs=1e-5
    )
    torch.save({"weight": torch.zeros(1)}, tmp_path / "state.pt")
    assert (
        indexing(
            "extract",
            references,
            "-o",
            tmp_path / "g",
            "--extractor.name",
            tmp_path / "state.pt",
            "--trust-torchscript",
        )
        == 2
    )
    assert "a state dict needs its architecture" in capsys.readouterr().err
    assert (
        indexing(
            *arguments[:3],
            tmp_path / "g",
            "--extractor.name",
            "timm:resnet10t",
            "--extractor.weights",
            arguments[5],
        )
        == 2
    )
    assert "a TorchScript program, not plain weights" in capsys.readouterr().err


def test_networks_of_the_libraries(references, tmp_path):
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model("resnet10t").state_dict(), tmp_path / "weights.safetensors")
    one = references / "0000.png"
    arguments = (
        "--extractor.name",
        "timm:resnet10t",
        "--extractor.weights",
        tmp_path / "weights.safetensors",
        "--workers=0",
    )
    assert indexing("extract", one, "-o", tmp_path / "f", *arguments, "--extractor.size=64") == 0
    assert VectorStore.open(tmp_path / "f").matrix.shape == (1, 512)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (
            lambda folder: (folder / "index.faiss").write_bytes(b"nothing"),
            "index.faiss is damaged or was replaced",
        ),
        (
            lambda folder: flip_bit(folder / "index.faiss", 1500),
            "index.faiss is damaged or was replaced",
        ),
        (
            lambda folder: (folder / "names.txt").write_text("one\n"),
            "names.txt is damaged or was replaced",
        ),
        (
            lambda folder: (unhashed(folder) / "index.faiss").write_bytes(b"nothing"),
            "damaged or not an index",
        ),
        (lambda folder: (folder / "index.json").unlink(), "no index here"),
        (lambda folder: (folder / "index.json").write_text("{"), "damaged"),
        (
            lambda folder: (folder / "index.json").write_text('{"format": 1, "extractor": "x"}'),
            "Expected `object`, got `str`",
        ),
        (
            lambda folder: (folder / "index.json").write_text(
                '{"format": 1, "shards": 1000000000}'
            ),
            "`int` <= 65536",
        ),
        (
            lambda folder: (unhashed(folder) / "names.txt").write_text("one\n"),
            "100 entries and 1 names",
        ),
        (
            lambda folder: faiss.write_index(
                faiss.index_factory(16, "IVF4,PQ4x4"), str(unhashed(folder) / "index.faiss")
            ),
            "not trained",
        ),
    ],
)
def test_broken_indices_are_told(
    break_it, words, own_index, originals, extractor, tmp_path, capsys
):
    break_it(own_index)
    code = indexing(
        "search",
        originals,
        "-o",
        tmp_path / "m.csv",
        "--index",
        own_index,
        "--extractor.name",
        extractor,
        "--workers=0",
    )
    assert code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "m.csv").exists()


def unhashed(folder):
    """The folder as earlier versions wrote it."""
    facts = json.loads((folder / "index.json").read_text())
    del facts["sha256"]
    (folder / "index.json").write_text(json.dumps(facts))
    return folder


def flip_bit(file, place):
    content = bytearray(file.read_bytes())
    content[min(place, len(content) // 2)] ^= 16
    file.write_bytes(content)


def test_an_index_of_an_earlier_version_opens(own_index):
    assert len(Index.open(unhashed(own_index))) == 100


def test_damaged_descriptors_are_refused_by_name(
    references, extractor, own_index, tmp_path, capsys
):
    out = tmp_path / "f"
    indexing("extract", references, "-o", out, "--extractor.name", extractor, "--workers=0")
    flip_bit(out / "features.npy", 2000)
    assert indexing("build", out, "-o", tmp_path / "i", "--factory=Flat") == 2
    assert "features.npy is damaged or was replaced" in capsys.readouterr().err
    flip_bit(own_index / "trained.faiss", 500)
    assert activate(references, tmp_path / "a", own_index, extractor) == 2
    assert "trained.faiss is damaged or was replaced" in capsys.readouterr().err


@pytest.mark.parametrize(("step", "entries"), [("write_text", 100), ("move_staged_files", 104)])
def test_an_addition_that_is_killed_leaves_all_or_nothing(
    step, entries, own_index, references, extractor, tmp_path, monkeypatch
):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(4):
        shutil.copy(references / f"{number:04d}.png", folder / f"new{number}.png")
    indexing("extract", folder, "-o", tmp_path / "f", "--extractor.name", extractor, "--workers=0")

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(engine.file_sets, step, die)
    with pytest.raises(KeyboardInterrupt):
        main(["add", str(own_index), str(tmp_path / "f")])
    monkeypatch.undo()
    opened = Index.open(own_index)
    assert len(opened) == opened.index.ntotal == entries


def test_a_table_is_not_written_over_unasked(own_index, originals, extractor, tmp_path, capsys):
    (tmp_path / "m.csv").write_text("mine")
    search = (
        "search",
        originals,
        "-o",
        tmp_path / "m.csv",
        "--index",
        own_index,
        "--extractor.name",
        extractor,
        "--workers=0",
    )
    assert indexing(*search) == 2
    assert "m.csv exists already: name another file, or add --overwrite" in capsys.readouterr().err
    assert (tmp_path / "m.csv").read_text() == "mine"
    assert indexing(*search, "--overwrite") == 0
    assert len(table(tmp_path / "m.csv")) == 60
    (tmp_path / "new.html").write_text("mine")
    assert indexing("search", originals, "-o", tmp_path / "new.csv", *search[4:], "--html") == 2
    assert not (tmp_path / "new.csv").exists()


def test_descriptors_are_searched_exactly_without_an_index(references, extractor, tmp_path):
    indexing(
        "extract", references, "-o", tmp_path / "f", "--extractor.name", extractor, "--workers=0"
    )
    indexing("build", tmp_path / "f", "-o", tmp_path / "flat", "--factory=Flat")
    for place in ("f", "flat"):
        search = (
            "search",
            references / "0007.png",
            "-o",
            tmp_path / f"{place}.csv",
            "--index",
            tmp_path / place,
        )
        assert indexing(*search, "--extractor.name", extractor, "--workers=0", "--k=5") == 0
    exact, flat = table(tmp_path / "f.csv"), table(tmp_path / "flat.csv")
    assert [row["match"] for row in exact] == [row["match"] for row in flat]
    assert [float(row["distance"]) for row in exact] == pytest.approx(
        [float(row["distance"]) for row in flat], abs=1e-5
    )


def test_names_with_other_line_ends_are_kept_and_line_feeds_refused_before_the_work(
    references, extractor, tmp_path, capsys
):
    folder = tmp_path / "in"
    folder.mkdir()
    odd = ["a\u2028b.png", "c\x85d.png", "e\x0bf.png", "plain.png"]
    for number, name in enumerate(odd):
        shutil.copy(references / f"{number:04d}.png", folder / name)
    bytes_name = folder / b"caf\xe9.png".decode("utf-8", "surrogateescape")
    shutil.copy(references / "0005.png", bytes_name)
    assert (
        indexing(
            "extract", folder, "-o", tmp_path / "f", "--extractor.name", extractor, "--workers=0"
        )
        == 0
    )
    store = VectorStore.open(tmp_path / "f")
    assert sorted(store.labels) == sorted([*odd, bytes_name.name])
    assert indexing("build", tmp_path / "f", "-o", tmp_path / "i", "--factory=Flat") == 0
    assert Index.open(tmp_path / "i").names == store.names
    shutil.copy(references / "0006.png", folder / "g\nh.png")
    capsys.readouterr()
    assert (
        indexing(
            "extract", folder, "-o", tmp_path / "f", "--extractor.name", extractor, "--workers=0"
        )
        == 1
    )
    assert "has a line break in it" in capsys.readouterr().err
    assert len(VectorStore.open(tmp_path / "f")) == 5


def test_changed_and_new_images_are_described_again_and_no_others(
    references, extractor, tmp_path, capsys
):
    folder, arguments = (
        tmp_path / "in",
        ("--extractor.name", extractor, "--workers=0", "--batch-size=1"),
    )
    folder.mkdir()
    for number in range(4):
        shutil.copy(references / f"{number:04d}.png", folder)
    assert indexing("extract", folder, "-o", tmp_path / "f", *arguments) == 0
    assert indexing("extract", folder, "-o", tmp_path / "f", *arguments) == 0
    assert "nothing to do" in capsys.readouterr().out
    shutil.copy(references / "0050.png", folder / "0002.png")
    shutil.copy(references / "0051.png", folder / "9999.png")
    (folder / "0000.png").unlink()
    assert indexing("extract", folder, "-o", tmp_path / "f", *arguments) == 0
    assert indexing("extract", folder, "-o", tmp_path / "new", *arguments) == 0
    for name in ("features.npy", "filenames.txt", "images.jsonl"):
        assert (tmp_path / "f" / name).read_bytes() == (tmp_path / "new" / name).read_bytes()


def test_descriptors_of_another_network_are_refused(
    own_index, originals, extractor, tmp_path, capsys
):
    search = (
        "search",
        originals,
        "-o",
        tmp_path / "m.csv",
        "--index",
        own_index,
        "--workers=0",
        "--extractor.name",
        extractor,
    )
    assert indexing(*search, "--extractor.antialias=false") == 2
    assert "of another extractor" in capsys.readouterr().err
    (tmp_path / "f").mkdir()
    torch.save(torch.rand(2, 5), tmp_path / "f" / "fts.pt")
    (tmp_path / "f" / "filenames.txt").write_text("a.png\nb.png\n")
    assert indexing("add", own_index, tmp_path / "f") == 2
    assert "5 values each" in capsys.readouterr().err
    assert (
        activate(originals, tmp_path / "out", own_index, extractor, "--extractor.antialias=false")
        == 2
    )
    assert "of another extractor" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_picture_is_in_an_index_once(own_index, tmp_path, capsys):
    (tmp_path / "f").mkdir()
    np.save(tmp_path / "f" / "features.npy", np.zeros((2, 16), np.float32))
    for names in ("a.png\na.png\n", f"a.png\n{Index.open(own_index).names[7]}\n"):
        (tmp_path / "f" / "filenames.txt").write_text(names)
        assert indexing("add", own_index, tmp_path / "f") == 2
        assert "would be in the index twice" in capsys.readouterr().err
    assert len(Index.open(own_index)) == 100


def test_an_index_of_other_descriptors_is_not_taken_for_trained(own_index, tmp_path, capsys):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "filenames.txt").write_text("".join(f"{number}\n" for number in range(100)))
    for seed, code in ((0, 0), (0, 0), (1, 2)):  # the same file names and shape, other contents
        np.save(
            tmp_path / "f" / "features.npy",
            np.random.default_rng(seed).normal(size=(100, 16)).astype(np.float32),
        )
        assert (
            indexing("build", tmp_path / "f", "-o", tmp_path / "new", "--factory=IVF4,PQ4x4")
            == code
        )
    assert "other settings or descriptors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--factory", "IVF4,Nonsense"), "faiss makes no index of 'IVF4,Nonsense'"),
        (("--factory", "IDMap,Flat"), "leave IDMap out"),
        (("--factory", "HNSW0"), "numbers must be at least 1"),
        (("--factory", "IVF0,Flat"), "numbers must be at least 1"),
        (("--factory", "HNSW1,Flat"), "HNSW needs at least 2 links"),
        (("--factory", "IVF99999999999,Flat"), "IVF99999999999 is more than the 16777216"),
        (("--factory", "Pad9999999,Flat"), "Pad9999999 is more than the 65536"),
        (("--factory", ""), "faiss makes no index of ''"),
        (("--factory", "PQ3"), "faiss makes no index of 'PQ3'"),
        (("--factory", "IVF4,PQ4x12"), "cannot be trained on 100"),
        (("--factory", "IVF500,PQ4x4"), "cannot be trained on 100"),
        (("--memory_mb=0",), "memory_mb, shards and processes must be at least 1, got 0"),
    ],
)
def test_impossible_indices_are_told(arguments, words, own_index, tmp_path, capsys):
    features = own_index.parent / "f"
    features.mkdir()
    np.save(
        features / "features.npy",
        np.random.default_rng(0).normal(size=(100, 16)).astype(np.float32),
    )
    (features / "filenames.txt").write_text("".join(f"{number}\n" for number in range(100)))
    assert indexing("build", features, "-o", tmp_path / "new", *arguments) == 2
    assert words in capsys.readouterr().err


def test_empty_places_and_wrong_parameters(own_index, originals, extractor, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for verb in (
        ("extract", tmp_path / "empty", "-o", tmp_path / "f", "--extractor.name", extractor),
        ("build", tmp_path / "empty", "-o", tmp_path / "i"),
        (
            "search",
            originals,
            "-o",
            tmp_path / "m.csv",
            "--index",
            own_index,
            "--extractor.name",
            extractor,
            "--parameters",
            "probes=3",
        ),
        ("extract", originals, "-o", tmp_path / "f", "--extractor.name", "nowhere/at all"),
        ("extract", originals, "-o", tmp_path / "f", "--extractor.name", "timm:nonesuch"),
    ):
        assert indexing(*verb) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(
    "factory",
    [
        "Flat",
        "PQ4x4",
        "HNSW8",
        "SQ8",
        "IVF4,Flat",
        "OPQ2,IVF4,PQ2x4",
        "PCA8,LSH",
        "IVF4,PQ4x4,RFlat",
    ],
)
@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_every_kind_of_index_is_built_saved_and_searched(factory, metric, tmp_path):
    from indexing.build import build

    if metric == "ip" and "LSH" in factory:
        pytest.skip("faiss has LSH for L2 alone")
    rows = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    VectorStore(rows, [f"{number}" for number in range(300)], {}).write(tmp_path / "f")
    made = build([tmp_path / "f"], tmp_path / "i", factory, metric)
    opened = Index.open(tmp_path / "i")
    found = [
        index.search(rows[:20], 5, "nprobe=4" if "IVF" in factory else "")
        for index in (made, opened)
    ]
    assert opened.metric == metric
    assert np.array_equal(found[0][1], found[1][1])
    if factory in ("Flat", "IVF4,Flat"):
        assert (found[1][1][:, 0] == np.arange(20)).all()
    again = build([tmp_path / "f"], tmp_path / "i", factory, metric)  # trained already
    assert len(again) == 300
    with pytest.raises(ValueError, match="other settings or descriptors"):
        build([tmp_path / "f"], tmp_path / "i", factory, "ip" if metric == "l2" else "l2")


def test_disc_is_laid_out(tmp_path, references, capsys):
    data = tmp_path / "disc"
    for folder, letter in (("references", "R"), ("train", "T")):
        (data / folder).mkdir(parents=True)
        for number in range(6):
            shutil.copy(references / "0000.png", data / folder / f"{letter}{number:06d}.png")
    (data / "dev_queries_groundtruth.csv").write_text(
        "query_id,reference_id\nQ0,R000002\nQ1,\nQ2,R000004\nQ3,R000002\n"
    )
    for _ in range(2):  # it can be run again
        assert indexing("prepare", data, "-o", tmp_path / "out", "--queries=3") == 0
        assert (
            "2 in references_10k, 4 in references_990k, 3 in queries_40k" in capsys.readouterr().out
        )
    links = sorted((tmp_path / "out" / "references_10k").iterdir())
    assert [link.name for link in links] == ["R000002.png", "R000004.png"]
    assert all(link.is_symlink() and link.is_file() for link in links)
    (data / "dev_queries_groundtruth.csv").write_text("Q0,R9\n")
    assert indexing("prepare", data, "-o", tmp_path / "out2") == 2
    assert "the first is R9" in capsys.readouterr().err
