"""Every kind of faiss index is built and activated for, or refused in one line."""

import numpy as np
import pytest

from images.io import open_photo
from indexing.activation_config import ActivationConfig
from indexing.activator import Activator
from indexing.build import build
from indexing.target_indices import open_target_indices, refuse_exact
from models.embedder_config import EmbedderConfig
from models.embedders import open_embedder
from models.store import VectorStore

EXACT = ("Flat", "HNSW8", "NSG8", "RR16,Flat", "L2norm,Flat")
"""Indices whose only targets are the descriptors, which edited views are pulled to."""

CODED = (
    *("IVF4,Flat", "IVF4_HNSW8,Flat", "IMI2x2,Flat", "PCAW8,IVF4,Flat"),
    *("PQ4x4", "IVF4,PQ4x4", "IVF4,PQ4x4np", "OPQ4,PQ4x4", "OPQ4_8,IVF4,PQ4x4"),
    *("RR16,IVF4,PQ4x4", "L2norm,IVF4,PQ4x4", "Pad32,PQ4x4", "HNSW8_PQ4x4", "NSG8_PQ4x4"),
    *("SQ8", "SQ4", "SQfp16", "IVF4,SQ8", "PCAR8,SQ8"),
    *("PQ4x4fs", "IVF4,PQ4x4fs", "IVF4,PQ4x4fsr", "OPQ4,IVF4,PQ4x4fsr", "RaBitQfs"),
    *("PQ4x4,RFlat", "IVF4,PQ4x4,RFlat", "IVF4,PQ4x4fs,RFlat", "IVF4,PQ4x4,Refine(SQ8)"),
    *("LSH", "PCA8,LSH", "RaBitQ", "IVF4,RaBitQ"),
    *("RQ4x4", "IVF4,RQ4x4", "IVF4,PRQ2x2x4"),
)

REFUSED = {
    "IDMap,Flat": "leave IDMap out",
    "IDMap2,IVF4,Flat": "leave IDMap out",
    "PQ4x4fsr": "could not parse",
    "ITQ8,LSH": "cannot decode its entries",
}


@pytest.fixture(scope="module")
def described(extractor, references, tmp_path_factory):
    """Descriptors of the references, and of three slightly different forms of each."""
    network = open_embedder(EmbedderConfig(str(extractor)))
    files = sorted(references.iterdir())
    rows = network.embed_arrays([open_photo(file).rgb for file in files]).numpy()
    noise = 0.02 * np.random.default_rng(0).normal(size=(3, *rows.shape))
    rows = np.concatenate([rows, *(rows + noise)]).astype(np.float32)
    folder = tmp_path_factory.mktemp("described")
    VectorStore(rows, [f"{number}" for number in range(len(rows))], network.record()).write(folder)
    return folder


@pytest.fixture(scope="module")
def photos(originals):
    return sorted(originals.iterdir())[:1]


def activate(factory, described, extractor, photos, folder, metric="l2", views=0):
    """Build an index, and activate a photo for it in two steps."""
    build([described], folder, factory, metric)
    indices = open_target_indices([folder], [EmbedderConfig(str(extractor))])
    config = ActivationConfig(iterations=2, views=views)
    refuse_exact(indices, "auto", config)
    return Activator(indices, "auto", config).activate_images(photos)


def test_there_are_34_kinds():
    assert len({*EXACT, *CODED, *REFUSED}) >= 34


@pytest.mark.parametrize("factory", CODED)
def test_coded_indices_are_activated_for(factory, described, extractor, photos, tmp_path):
    for activated in activate(factory, described, extractor, photos, tmp_path / "index"):
        result = activated.indices["index"]
        assert activated.activated == (activated.levels > 0)
        if activated.activated:
            assert result.found
        assert np.isfinite(result.distance_after)


@pytest.mark.parametrize("factory", ["IVF4,Flat", "IVF4,PQ4x4fsr", "PCAW8,IVF4,Flat", "SQ8"])
def test_indices_of_inner_products_are_activated_for(
    factory, described, extractor, photos, tmp_path
):
    for activated in activate(factory, described, extractor, photos, tmp_path / "index", "ip"):
        assert activated.indices["index"].found or not activated.activated


@pytest.mark.parametrize("factory", EXACT)
def test_exact_indices_need_edited_views(factory, described, extractor, photos, tmp_path):
    with pytest.raises(ValueError, match="stores exact descriptors") as caught:
        activate(factory, described, extractor, photos, tmp_path / "index")
    assert "\n" not in str(caught.value)
    for activated in activate(factory, described, extractor, photos, tmp_path / "index", views=1):
        assert activated.indices["index"].found or not activated.activated


@pytest.mark.parametrize("factory", REFUSED)
def test_others_are_refused_in_one_line(factory, described, extractor, photos, tmp_path):
    with pytest.raises(ValueError, match=REFUSED[factory]) as caught:
        activate(factory, described, extractor, photos, tmp_path / "index")
    assert "\n" not in str(caught.value)
    assert "/project/" not in str(caught.value)
