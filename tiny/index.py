"""Toy index of collages, to try copy detection without a collection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from images.photo import Photo
from images.transforms.codecs import JPEG
from indexing.calibrate import from_entries
from indexing.faiss_files import make_index
from indexing.index import Index
from indexing.index_goals import descriptors
from models.embedder_config import EmbedderConfig
from models.embedders import Embedder, open_embedder
from models.store import VectorStore
from tiny.collages import CollageDataset, collage
from tiny.figures import Figure, share
from tiny.identity import EVALUATION_START

FACTORY = "IVF64,PQ8x6"
"""faiss index factory string."""
FIRST_COLLAGE = EVALUATION_START + 10_000
"""Number of the first entry; the benchmarks use other numbers."""


def build_drawn_index(
    folder: Path, network: str, training: int = 3_000, entries: int = 2_000
) -> None:
    """Train an index on collages of the network's training, fill it with others, and calibrate it.

    Args:
        folder: Folder of the index.
        network: Folder of the copy-detection network.
        training: Number of collages to train on.
        entries: Number of entries.
    """
    extractor = open_embedder(network)
    index = make_index(FACTORY, extractor.dimension, "l2")
    index.train(_descriptors(extractor, 0, training))
    extractor_record = extractor.record()
    facts = {
        "factory": FACTORY,
        "metric": "l2",
        "training": f"{training} collages",
        "extractor": extractor_record,
    }
    numbers = range(FIRST_COLLAGE, FIRST_COLLAGE + entries)
    names = [f"collage_{number:07d}.png" for number in numbers]
    vectors = _descriptors(extractor, FIRST_COLLAGE, entries)
    collage_index = Index(index, [], facts)
    store = VectorStore(vectors, names, extractor_record)
    inserted = collage_index.insert(store, np.arange(entries))
    strangers = from_entries(collage_index, None, [inserted])
    collage_index.calibrate(strangers, collage_index.default_parameters)
    collage_index.save(folder)


@torch.no_grad()
def _descriptors(extractor: Embedder, first: int, count: int) -> NDArray[np.float32]:
    """Describe collages by number, (count, D)."""
    batches = DataLoader(CollageDataset(first, count), batch_size=100)
    return torch.cat([extractor(batch["image"]) for batch in batches]).numpy()


def index_quality(folder: str, pictures: int = 200) -> dict[str, Figure]:
    """Measure the recall at 1 of the entries' images and of their JPEGs of quality 50.

    Args:
        folder: Folder of the index.
        pictures: Number of queries.

    Returns:
        Number of entries, and the recall by edit.
    """
    index = Index.open(Path(folder))
    extractor = open_embedder(EmbedderConfig.from_record(index.facts["extractor"]))
    originals = [collage(FIRST_COLLAGE + number) for number in range(pictures)]
    compressed = [JPEG(50)(rgb, np.random.default_rng(0)) for rgb in originals]
    figures = {"entries": Figure(len(index))}
    for edit, images in (("itself", originals), ("jpeg 50", compressed)):
        queries = descriptors(extractor, [Photo(rgb).tensor() for rgb in images])
        _, ids = index.search(queries, 1)
        figures[f"found by {edit}"] = share(ids[:, 0] == np.arange(pictures), "images")
    return figures
