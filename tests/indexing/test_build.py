"""indexing build."""

import numpy as np
import pytest

from indexing.build import build
from indexing.index import Index
from models.store import VectorStore
from tests.indexing.commands import indexing


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
