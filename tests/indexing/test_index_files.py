"""Files of an index: broken, of earlier versions, changed by halves, and of other networks."""

import shutil

import faiss
import numpy as np
import pytest
import torch

import engine.file_sets
from indexing.__main__ import main
from indexing.index import Index
from tests.indexing.commands import activate, flip_bit, indexing, search, unhashed


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
    assert search(originals, tmp_path / "m.csv", own_index, extractor) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "m.csv").exists()


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


def test_descriptors_of_another_network_are_refused(
    own_index, originals, extractor, tmp_path, capsys
):
    found = (originals, tmp_path / "m.csv", own_index, extractor)
    assert search(*found, "--extractor.antialias=false") == 2
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
