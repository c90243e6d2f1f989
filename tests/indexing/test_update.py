"""Changes of an index: ids stay, removed entries are gone, and nothing is done twice."""

import json
import shutil

import numpy as np
import pytest

from engine.cli import run
from indexing.__main__ import main
from indexing.build import build
from indexing.index import Index
from indexing.update import remove, update
from models.embedders import Embedder
from models.store import VectorStore


def unit(seed, count, dimension=8):
    rows = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def write(rows, names, folder):
    VectorStore(rows, list(names), {}).write(folder)
    return folder


@pytest.mark.parametrize("factory", ["Flat", "IVF8,PQ4x4", "HNSW8", "PCA8,LSH"])
@pytest.mark.parametrize("shards", [1, 3])
def test_removed_entries_are_not_found_and_all_ids_stay(factory, shards, tmp_path):
    rows = unit(0, 300)
    names = [f"{number}" for number in range(300)]
    folder = write(rows, names, tmp_path / "f")
    index = build([folder], tmp_path / "i", factory, shards=shards)
    before = index.search(rows[:50], 5)
    gone = [str(id_) for id_ in np.unique(before[1][:, 0])]
    opened, removed, unknown = remove(tmp_path / "i", [*gone, "nowhere"])
    assert (sorted(removed), unknown) == (sorted(gone), ["nowhere"])
    opened = Index.open(tmp_path / "i")
    assert len(opened) == 300 - len(gone)
    distances, ids = opened.search(rows[:50], 3)
    assert not set(gone) & {str(id_) for id_ in ids.ravel()}
    for row in range(50):  # what was next is first now
        rest = [id_ for id_ in before[1][row] if str(id_) not in gone and id_ >= 0]
        assert list(ids[row])[: len(rest)] == rest[:3]
    assert (np.diff(distances[ids.min(axis=1) >= 0], axis=1) >= 0).all()
    kept = next(name for name in names if name not in gone)
    assert opened.id_of(kept) == int(kept)
    assert not set(gone) & set(map(str, opened.strangers.ids))
    opened.add(VectorStore(unit(1, 2), ["new", gone[0]], {}))
    assert (opened.id_of("new"), opened.id_of(gone[0])) == (300, 301)


def test_an_update_adds_replaces_and_removes_and_keeps_the_other_ids(tmp_path, capsys):
    rows = unit(0, 250)
    names = [f"{number}" for number in range(250)]
    build([write(rows, names, tmp_path / "f")], tmp_path / "i", "IVF4,Flat")
    assert run(main, ["update", f"{tmp_path}/i", f"{tmp_path}/f"]) == 0
    assert "0 added, 0 replaced, 0 removed, 250 kept" in capsys.readouterr().out
    rows[3] = unit(5, 1)[0]
    changed = write(np.concatenate([rows[1:], unit(6, 2)]), [*names[1:], "x", "y"], tmp_path / "g")
    assert run(main, ["update", f"{tmp_path}/i", str(changed)]) == 0
    assert "2 added, 1 replaced, 1 removed, 248 kept: 251 entries" in capsys.readouterr().out
    opened = Index.open(tmp_path / "i")
    assert [opened.id_of(name) for name in ("1", "2", "4", "249")] == [1, 2, 4, 249]
    assert opened.search(rows[3:4], 1, "nprobe=4")[1][0, 0] == opened.id_of("3") >= 250
    with pytest.raises(KeyError):
        opened.id_of("0")
    assert json.loads((tmp_path / "i" / "index.json").read_text())["entries"] == 251
    _, changes = update(tmp_path / "i", [changed])
    assert (changes.kept, changes.added) == (251, 0)


def test_a_build_is_continued_without_training_and_refused_for_other_images(tmp_path, capsys):
    rows, names = unit(0, 220), [f"{number}" for number in range(220)]
    build([write(rows, names, tmp_path / "f")], tmp_path / "i", "IVF4,PQ4x4")
    trained = (tmp_path / "i" / "trained.faiss").read_bytes()
    write(np.concatenate([rows, unit(1, 1)]), [*names, "new"], tmp_path / "f")
    index = build([tmp_path / "f"], tmp_path / "i", "IVF4,PQ4x4")
    assert (len(index), index.id_of("new")) == (221, 220)
    assert (tmp_path / "i" / "trained.faiss").read_bytes() == trained
    write(unit(2, 220), names, tmp_path / "f")
    command = ["build", f"{tmp_path}/f", "-o", f"{tmp_path}/i", "--factory", "IVF4,PQ4x4"]
    assert run(main, command) == 2
    assert "other settings or descriptors" in capsys.readouterr().err
    assert len(Index.open(tmp_path / "i")) == 221


def test_one_added_image_is_one_embedded_image(references, extractor, tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(12):
        shutil.copy(references / f"{number:04d}.png", folder)
    embedded = []
    embed = Embedder.embed_images

    def counted(self, views):
        embedded.append(len(views))
        return embed(self, views)

    monkeypatch.setattr(Embedder, "embed_images", counted)

    def extract_and_build():
        embedded.clear()
        options = ["--extractor.name", str(extractor), "--workers=0"]
        assert run(main, ["extract", str(folder), "-o", f"{tmp_path}/f", *options]) == 0
        assert run(main, ["build", f"{tmp_path}/f", "-o", f"{tmp_path}/i", "--factory=Flat"]) == 0
        # without the probes of the network's dimension, a single empty image each
        return sum(embedded)

    first = extract_and_build()
    again = extract_and_build()
    shutil.copy(references / "0050.png", folder)
    assert (first - again, extract_and_build() - again) == (12, 1)
    assert len(Index.open(tmp_path / "i")) == 13


def test_names_of_a_list_and_relative_paths_are_removed(tmp_path, monkeypatch, capsys):
    names = [str(tmp_path / f"{number}.png") for number in range(5)]
    build([write(unit(0, 5), names, tmp_path / "f")], tmp_path / "i", "Flat")
    (tmp_path / "list.txt").write_text(f"{names[0]}\n\n{names[1]}\n")
    monkeypatch.chdir(tmp_path)
    assert run(main, ["remove", "i", "list.txt", "2.png", "9.png"]) == 1
    told = capsys.readouterr()
    assert "3 removed, 2 entries in i" in told.out
    assert "9.png is not in the index" in told.err
    assert Index.open(tmp_path / "i").names == ["", "", "", names[3], names[4]]
    assert run(main, ["remove", "i", *names[3:]]) == 0
    assert len(Index.open(tmp_path / "i")) == 0
    assert Index.open(tmp_path / "i").search(unit(0, 1), 2)[1].tolist() == [[-1, -1]]


def test_a_list_of_names_is_named_with_what_it_misses(tmp_path):
    build([write(unit(0, 20), map(str, range(20)), tmp_path / "f")], tmp_path / "i", "Flat")
    (tmp_path / "gone.txt").write_text("3\nno such entry\n")
    _, removed, unknown = remove(tmp_path / "i", [str(tmp_path / "gone.txt")])
    assert (removed, unknown) == (["3"], [f"{tmp_path / 'gone.txt'}: 'no such entry'"])
