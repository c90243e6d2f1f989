"""A small index of drawn pictures, for trying out copy detection without a collection of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from images.photo import Photo
from images.transforms.codecs import JPEG
from indexing.activator import descriptors
from indexing.faiss_files import make_index
from indexing.index import Index
from models.embedder_config import EmbedderConfig
from models.embedders import Embedder, open_embedder
from models.store import VectorStore
from tiny.collages import CollageDataset, collage
from tiny.identity import EVALUATION_START

FACTORY = "IVF64,PQ8x6"
FIRST = EVALUATION_START + 10_000
"""Number of the first entry; the benchmarks' pictures have other numbers."""


def build_drawn_index(
    folder: Path, network: str, training: int = 3_000, entries: int = 2_000
) -> None:
    """Train an index on collages the network may have learnt from, and fill it with others.

    Args:
        folder: Of the index.
        network: Folder of the copy-detection network.
        training: Collages that train it.
        entries: Collages that fill it.
    """
    extractor = open_embedder(network)
    index = make_index(FACTORY, extractor.dimension, "l2")
    index.train(_descriptors(extractor, 0, training))
    known = extractor.record()
    filled = Index(
        index,
        [],
        {
            "factory": FACTORY,
            "metric": "l2",
            "training": f"{training} collages",
            "extractor": known,
        },
    )
    names = [f"collage_{number:07d}.png" for number in range(FIRST, FIRST + entries)]
    filled.add(VectorStore(_descriptors(extractor, FIRST, entries), names, known))
    filled.save(folder)


@torch.no_grad()
def _descriptors(extractor: Embedder, first: int, count: int) -> NDArray[np.float32]:
    pictures = DataLoader(CollageDataset(first, count), batch_size=100)
    return torch.cat([extractor(batch["image"]) for batch in pictures]).numpy()


def index_quality(folder: str, pictures: int = 200) -> dict[str, Any]:
    """Share of some entries that are the nearest of their own picture, as it is and as a JPEG of quality 50."""
    index = Index.open(Path(folder))
    extractor = open_embedder(EmbedderConfig.from_record(index.facts["extractor"]))
    drawn = [collage(FIRST + number) for number in range(pictures)]
    found: dict[str, Any] = {"entries": len(index)}
    for edit, views in {
        "itself": drawn,
        "jpeg 50": [JPEG(50)(rgb, np.random.default_rng(0)) for rgb in drawn],
    }.items():
        rows = descriptors(extractor, [Photo(rgb).tensor() for rgb in views])
        found[f"found by {edit}"] = float(
            (index.search(rows, 1)[1][:, 0] == np.arange(pictures)).mean()
        )
    return found
