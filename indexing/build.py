"""The ``build`` job: train an index on some descriptors, fill it with others, a part at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from engine.files import file_digest
from engine.progress import progress
from indexing.faiss_files import make_index, read_faiss, write_faiss
from indexing.index import FACTS, TRAINED, Index, index_files, read_facts, write_facts
from indexing.shards import fill_shards
from models.search import Metric, faiss_errors
from models.store import VectorStore

MEGABYTE = 2**20
CHUNK = 65_536
"""Most descriptors inserted at a time."""


def build(
    features: Sequence[Path],
    output: Path,
    factory: str = "IVF4096,PQ8x8",
    metric: Metric = "l2",
    train: Path | None = None,
    memory_mb: int = 1024,
    shards: int = 1,
    processes: int = 1,
    seed: int = 0,
) -> Index:
    """Train and fill an index; a trained one in the folder, of the same settings and descriptors, is not trained again.

    Args:
        features: Folders of descriptors to insert; see :mod:`models.store`.
        output: Folder of the index.
        factory: faiss's string: ``IVF4096,PQ8x8``, ``OPQ8_64,IVF1024,PQ8``, ``PCA64,LSH``, ``HNSW32``, ``Flat``, ...
        metric: ``l2``, or ``ip`` for inner products.
        train: Folder of descriptors to train on; those to insert if None.
        memory_mb: Most memory for descriptors at a time. More training descriptors than fit are sampled evenly.
        shards: Files the index is in, with an equal share of the entries each. Searches find what they find in a single file; two kinds
            find a little more, as each file of an HNSW index has its own graph, and each of a refined one its own candidates.
        processes: Which fill shards side by side. Each holds one in memory; with one process, so does this one.
        seed: Of the sample.

    Raises:
        FileNotFoundError: If a folder holds no descriptors.
        ValueError: If descriptors are of different extractors, too few, or faiss refuses; or the folder holds another index.
    """
    if min(memory_mb, shards, processes) < 1:
        msg = f"memory_mb, shards and processes must be at least 1, got {memory_mb}, {shards} and {processes}"
        raise ValueError(msg)
    if processes > shards:
        msg = f"{processes} processes have {shards} shards to fill; give as many shards, or more"
        raise ValueError(msg)
    parts = [VectorStore.open(folder) for folder in features]
    learnt = VectorStore.open(train) if train else parts[0]
    _alike([learnt, *parts])
    dimension = learnt.dimension
    fitting = max(1, memory_mb * MEGABYTE // (4 * dimension))
    facts: dict[str, Any] = {
        "factory": factory,
        "metric": metric,
        "extractor": learnt.embedder,
        "training": {"rows": min(len(learnt), fitting), "of": len(learnt), "seed": seed, "sha256": _digest(learnt, fitting)},
    }
    trained = _trained(output, facts, learnt, min(len(learnt), fitting), seed)
    made = Index(trained, [], facts)
    if shards == 1:
        for part in progress(parts, unit="folder"):
            made.add(part, min(fitting, CHUNK))
        made.save(output)
        return made
    for part in parts:
        made.names = made.admit(part)
    made.facts = facts | {"shards": shards}
    chunk = max(1, min(fitting // processes, CHUNK))
    fill_shards(output / TRAINED, features, len(made), index_files(output, made.facts), processes, chunk)
    made.save_names(output)
    return Index.open(output, mapped=True)


def add(folder: Path, features: Sequence[Path], memory_mb: int = 1024) -> Index:
    """Insert descriptors into an index on disk.

    Args:
        folder: The index's folder.
        features: Folders of descriptors.
        memory_mb: Most memory for descriptors at a time.

    Raises:
        FileNotFoundError: If a folder is not what it should be.
        ValueError: If descriptors are of another extractor or length, or names are there already; the index is left as it was.
    """
    made = Index.open(folder)
    for part in (VectorStore.open(place) for place in features):
        made.add(part, max(1, min(CHUNK, memory_mb * MEGABYTE // (4 * made.dimension))))
    made.save(folder)
    return made


def _alike(parts: Sequence[VectorStore]) -> None:
    first = parts[0]
    for part in parts[1:]:
        if part.dimension != first.dimension:
            msg = f"descriptors of {part.dimension} and of {first.dimension} values cannot be in one index; extract all alike"
            raise ValueError(msg)
        if part.fingerprint and first.fingerprint and part.fingerprint != first.fingerprint:
            names = f"{part.embedder.get('name')} and of {first.embedder.get('name')}"
            msg = f"descriptors of {names} differ in weights or view; extract all alike"
            raise ValueError(msg)


def _trained(output: Path, facts: dict[str, Any], learnt: VectorStore, count: int, seed: int) -> Any:
    """The index, trained and empty; kept in the folder."""
    if (output / FACTS).is_file():
        earlier = read_facts(output)
        if any(earlier.get(key) != facts[key] for key in facts):
            msg = f"{output} holds an index of other settings or descriptors; choose another folder or delete it"
            raise ValueError(msg)
        if (output / TRAINED).is_file():
            return read_faiss(output / TRAINED, expected=earlier.get("sha256", {}).get(TRAINED))
    index = make_index(facts["factory"], learnt.dimension, facts["metric"])
    if not index.is_trained:
        sample = training_sample(learnt, count, seed)
        with faiss_errors(f"{facts['factory']} cannot be trained on {len(sample)} descriptors; give more, or a smaller index"):
            index = _train(index, sample)
    write_faiss(index, output / TRAINED)
    write_facts(output, facts | {"sha256": {TRAINED: file_digest(output / TRAINED)}})
    return index


def _train(index: Any, sample: NDArray[np.float32]) -> Any:
    """Train, on all GPUs where faiss has some."""
    if getattr(faiss, "get_num_gpus", int)() == 0:
        index.train(sample)
        return index
    on_gpus = faiss.index_cpu_to_all_gpus(index)
    on_gpus.train(sample)
    return faiss.index_gpu_to_cpu(on_gpus)


def training_sample(features: VectorStore, count: int, seed: int) -> NDArray[np.float32]:
    """So many rows, all if there are no more, in their order."""
    if count >= len(features):
        return features.rows(0, len(features))
    chosen = np.sort(np.random.default_rng(seed).choice(len(features), count, replace=False))
    return np.ascontiguousarray(features.matrix[chosen], dtype=np.float32)


def _digest(features: VectorStore, step: int) -> str:
    digest = hashlib.sha256()
    for start in range(0, len(features), step):
        digest.update(np.ascontiguousarray(features.matrix[start : start + step], dtype=np.float32).tobytes())
    return digest.hexdigest()
