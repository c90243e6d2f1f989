"""Database of the retrieval attack."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.devices import DeviceOptions
from engine.job import JobOptions
from eval.attacks.rag.retriever import Method
from images.inputs import ImageInput, JobInputs, find_images
from models.embed_job import embed_images
from models.embedders import Embedder
from models.store import VectorStore
from sentinels.record import Record

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Database:
    """Collection that the attacked system searches.

    Attributes:
        originals: Folder of the collection.
        embedder: clip, siglip, a folder or a Hub id.
        method: cosine, bm25, fusion or rerank.
        captions: JSON list with the collection's captions, for bm25 and fusion.
        size: Number of originals that are searched, the first ones; None for all.
        vectors: Folder of the vectors, for reuse; None puts it into the results.
        batch_size: Images embedded at a time.
        accelerator: Accelerator for embedding, as in Lightning: auto, cpu, gpu.
        refuses_keys: Do not search for queries with letters that are no word, as a thief may.
    """

    originals: Path
    embedder: str = "clip"
    method: Method = "cosine"
    captions: Path | None = None
    size: int | None = None
    vectors: Path | None = None
    batch_size: int = 32
    accelerator: str = "auto"
    refuses_keys: bool = False


def open_stores(
    records: Mapping[str, Record], database: Database, embedder: Embedder, output: Path
) -> dict[str, VectorStore]:
    """Embed originals, sentinels and decoys, unless they are up to date.

    Args:
        records: Records of what is planted, by the name of its store.
        database: The collection.
        embedder: The open embedder.
        output: Folder of the results.

    Returns:
        Vectors by name: ``originals``, and the names of ``records``.

    Raises:
        ValueError: If the program runs in several processes.
    """
    folder = database.vectors or output / "vectors"
    options = JobOptions(DeviceOptions(database.accelerator), database.batch_size)
    inputs = {"originals": find_images([database.originals])}
    for name, record in records.items():
        planted = []
        for _, sentinel, path in record.pairs():
            planted.append(ImageInput.from_file(path, sentinel.published))
        inputs[name] = JobInputs(planted)
    stores = {}
    for name, images in inputs.items():
        report = embed_images(images, folder / name, embedder, "sentinels embed", options)
        if report is None:
            msg = "eval rag runs in one process; start it without torchrun or srun"
            raise ValueError(msg)
        for error in report.job.failed.values():
            logger.warning("not searched: %s", error)
        stores[name] = report.store
    return stores
