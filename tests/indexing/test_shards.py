"""An index in several files, filled by several processes: it must be the same index."""

import json

import numpy as np
import pytest

from engine.cli import run
from indexing.__main__ import main
from indexing.build import build
from indexing.index import Index
from indexing.update import add
from models.store import VectorStore

RNG = np.random.default_rng(0)
QUERIES = RNG.normal(size=(60, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Three folders of descriptors, none of a size that divides evenly."""
    root = tmp_path_factory.mktemp("features")
    for place, count in enumerate((400, 299, 502)):
        rows = RNG.normal(size=(count, 16)).astype(np.float32)
        VectorStore(rows, [f"{place}/{number}.png" for number in range(count)], {}).write(
            root / str(place)
        )
    return [root / str(place) for place in range(3)]


def same(one, other, parameters=""):
    for a, b in zip(
        one.search(QUERIES, 7, parameters), other.search(QUERIES, 7, parameters), strict=True
    ):
        assert np.array_equal(a, b)


def test_two_processes_build_the_index_that_one_builds(features, tmp_path):
    common = [*map(str, features), "--factory", "IVF8,PQ4x4"]
    assert run(main, ["build", *common, "-o", f"{tmp_path}/one"]) == 0
    assert (
        run(main, ["build", *common, "-o", f"{tmp_path}/three", "--shards=3", "--processes=2"]) == 0
    )
    one, names = (
        Index.open(tmp_path / "one"),
        sorted(path.name for path in (tmp_path / "three").glob("index*")),
    )
    assert names == [f"index-0000{place}-of-00003.faiss" for place in range(3)] + ["index.json"]
    for mapped in (False, True):
        three = Index.open(tmp_path / "three", mapped)
        assert three.names == one.names
        assert three.id_of("2/17.png") == 400 + 299 + 17
        for parameters in ("nprobe=1", "nprobe=8"):
            same(one, three, parameters)
    further = VectorStore(
        RNG.normal(size=(5, 16)).astype(np.float32), [f"new{number}" for number in range(5)], {}
    )
    further.write(tmp_path / "further")
    for folder in ("one", "three"):
        assert len(add(tmp_path / folder, [tmp_path / "further"])) == 1206
    same(Index.open(tmp_path / "one"), Index.open(tmp_path / "three"), "nprobe=3")
    # Back to one file: the shards are deleted.
    assert run(main, ["build", *common, "-o", f"{tmp_path}/three"]) == 0
    assert [path.name for path in (tmp_path / "three").glob("index*.faiss")] == ["index.faiss"]
    same(one, Index.open(tmp_path / "three"), "nprobe=8")


@pytest.mark.parametrize(
    ("metric", "factory"),
    [("l2", "Flat"), ("ip", "IVF4,SQ8"), ("l2", "OPQ2,IVF4,PQ2x4"), ("l2", "PCA8,LSH")],
)
def test_shards_of_other_kinds(metric, factory, features, tmp_path):
    one, two = (
        build(features, tmp_path / str(shards), factory, metric, shards=shards) for shards in (1, 2)
    )
    assert two.metric == metric
    same(one, two, "nprobe=2" if "IVF" in factory else "")


@pytest.mark.parametrize(
    ("factory", "parameters"), [("HNSW8", "efSearch=16"), ("IVF4,PQ4x4,RFlat", "nprobe=2")]
)
def test_shards_that_search_on_their_own_find_no_less(factory, parameters, features, tmp_path):
    nearest = [
        build(features, tmp_path / str(n), factory, shards=n)
        .search(QUERIES, 7, parameters)[0]
        .mean()
        for n in (1, 2)
    ]
    assert nearest[1] <= nearest[0] + 1e-5


def test_what_cannot_be_is_told(features, tmp_path, capsys):
    assert (
        run(
            main,
            ["build", str(features[0]), "-o", f"{tmp_path}/i", "--factory=Flat", "--processes=2"],
        )
        == 2
    )
    assert "2 processes need at least as many shards, got 1" in capsys.readouterr().err
    rows = np.zeros((400, 16), np.float32)
    rows[399, 3] = np.nan
    (tmp_path / "bad").mkdir()
    np.save(tmp_path / "bad" / "features.npy", rows)
    (tmp_path / "bad" / "filenames.txt").write_text(
        "".join(f"bad{number}\n" for number in range(400))
    )
    assert (
        run(
            main,
            [
                "build",
                str(features[0]),
                f"{tmp_path}/bad",
                "-o",
                f"{tmp_path}/i",
                "--factory=SQ8",
                "--shards=2",
            ],
        )
        == 2
    )
    assert "bad399 is not finite" in capsys.readouterr().err
    assert "shards" not in json.loads((tmp_path / "i" / "index.json").read_text())


def test_a_missing_shard_is_told(features, tmp_path, capsys):
    build(features, tmp_path / "i", "Flat", shards=2)
    (tmp_path / "i" / "index-00001-of-00002.faiss").unlink()
    assert run(main, ["add", f"{tmp_path}/i", str(features[0])]) == 2
    assert "index-00001-of-00002.faiss: no such index" in capsys.readouterr().err
