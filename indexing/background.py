"""Background images, which are not in an index."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from engine.job import JobOptions
from images.inputs import find_images
from models.embed_job import embed_images
from models.embedder_config import EmbedderConfig
from models.embedders import open_embedder
from models.store import VectorStore
from models.store_files import matrix_file
from models.store_parts import holds_parts

log = logging.getLogger(__name__)


def open_background(place: Path, extractor: Mapping[str, Any]) -> VectorStore:
    """Open the descriptors of a background set, or compute them.

    Args:
        place: Folder of descriptors, or a folder, shard or list of images.
        extractor: Record of the index's extractor, for images.

    Raises:
        FileNotFoundError: If there are no descriptors and no images.
        ValueError: If the index does not record its extractor, the extractor is a TorchScript
            program, or no image is readable.
    """
    if place.is_dir() and (matrix_file(place) is not None or holds_parts(place)):
        return VectorStore.open(place)
    embedder = open_embedder(EmbedderConfig.from_record(extractor))
    with TemporaryDirectory() as folder:
        options = JobOptions(batch_size=64, alone=True)
        report = embed_images(
            find_images([place]), Path(folder), embedder, "indexing extract", options
        )
        assert report is not None, "the job runs in one process"
        for reason in report.job.failed.values():
            log.warning("left out of the background: %s", reason)
        store = report.store
        images = store.images
        return VectorStore(np.array(store.matrix), store.names, store.embedder, lambda: images)
