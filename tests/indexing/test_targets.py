"""Targets of every kind of index, against faiss's own decoding and by hand."""

import faiss
import numpy as np
import pytest

from indexing.empty_copy import EmptyCopy, forward, split
from indexing.targets import cells, centroids, find_targets, has_cells

RNG = np.random.default_rng(0)


def unit(count, dimension=16):
    vectors = RNG.normal(size=(count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


TRAINING, PICTURES = unit(2000), unit(400)


def trained(factory, metric=faiss.METRIC_L2):
    index = faiss.index_factory(16, factory, metric)
    index.train(TRAINING)
    return index


FACTORIES = [
    "PQ4x4",
    "OPQ2,PQ2x4",
    "SQ8",
    "PCA8,LSH",
    "IVF8,PQ4x4",
    "RR16,IVF8,PQ4x4",
    "IVF8,SQ8",
    "HNSW8_PQ4x4",
    "IVF8_HNSW8,PQ4x4",
]


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_reconstruction_is_what_faiss_decodes_an_entry_to(factory):
    index = trained(factory)
    index.add(unit(30))
    found = find_targets(index, PICTURES)
    assert index.ntotal == 30
    assert found.kind == "reconstruction"
    index.add(PICTURES)
    if has_cells(index):
        faiss.extract_index_ivf(index).make_direct_map()
    decoded = index.reconstruct_n(30, 400)
    stayed = (
        cells(index, decoded) == cells(index, PICTURES)
        if has_cells(index)
        else np.ones(400, dtype=bool)
    )
    assert np.allclose(found.vectors[stayed], decoded[stayed], atol=1e-5)
    assert found.moved == (~stayed).sum()


@pytest.mark.parametrize("factory", ["IVF128,SQ4", "RR16,IVF128,SQ4"])
@pytest.mark.parametrize("metric", [faiss.METRIC_L2, faiss.METRIC_INNER_PRODUCT])
def test_every_target_is_in_the_cell_of_its_entry(factory, metric):
    index = trained(factory, metric)
    raw = EmptyCopy(index).decode(PICTURES)
    assert (
        cells(index, raw) != cells(index, PICTURES)
    ).any()  # otherwise there is nothing to see here
    found = find_targets(index, PICTURES)
    assert found.moved > 0
    assert (cells(index, found.vectors) == cells(index, PICTURES)).all()


@pytest.mark.parametrize("factory", ["PCA8,PQ4x4", "PCAW8,PQ4x4", "PCAW8,IVF8,PQ4x4"])
def test_targets_behind_a_transform_are_the_codes_that_are_searched(factory):
    index = trained(factory)
    chain, inner = split(index)
    inner.add(forward(chain, PICTURES))
    if has_cells(inner):
        faiss.extract_index_ivf(inner).make_direct_map()
    codes = inner.reconstruct_n(0, 400)
    targets = forward(chain, EmptyCopy(index).decode(PICTURES))
    assert np.allclose(targets, codes, atol=1e-4)


def test_exact_cells_give_the_centroid():
    index = trained("IVF8,Flat")
    found = find_targets(index, PICTURES)
    middles = index.quantizer.reconstruct_n(0, 8)
    nearest = np.square(PICTURES[:, None] - middles[None]).sum(axis=2).argmin(axis=1)
    assert found.kind == "centroid"
    assert np.allclose(found.vectors, middles[nearest])
    assert np.allclose(
        find_targets(index, PICTURES, "halfway").vectors, (middles[nearest] + PICTURES) / 2
    )


def test_centroids_come_back_through_a_rotation():
    index = trained("RR16,IVF8,PQ4x4")
    middles = centroids(index, PICTURES)
    assert (cells(index, middles) == cells(index, PICTURES)).all()
    # Random unit vectors have a squared distance of 2.
    assert np.square(middles - PICTURES).sum(axis=1).mean() < 1


@pytest.mark.parametrize("factory", ["Flat", "HNSW8"])
def test_exact_indices_leave_the_descriptor(factory):
    found = find_targets(trained(factory), PICTURES)
    assert found.kind == "feature"
    assert np.array_equal(found.vectors, PICTURES)


def test_a_refined_index_is_taken_for_the_one_that_chooses():
    index = trained("IVF8,PQ4x4,RFlat")
    assert find_targets(index, PICTURES).kind == "reconstruction"
    assert np.abs(find_targets(index, PICTURES).vectors - PICTURES).max() > 0.01


def test_no_cells_no_centroid():
    with pytest.raises(ValueError, match="no cells"):
        find_targets(trained("PQ4x4"), PICTURES, "centroid")
