"""The ``build`` and ``add`` jobs: training and filling indices."""

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
from indexing.index import Index
from indexing.index_facts import FACTS, TRAINED, index_files, read_facts, write_facts
from indexing.shards import fill_shards
from models.search import Metric, faiss_errors
from models.store import VectorStore

MEGABYTE = 2**20
CHUNK = 65_536
"""Most descriptors inserted at once."""


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
    """Train and fill an index.

    A trained index in the folder, of the same settings and descriptors, is not trained again.

    Args:
        features: Folders of descriptors to insert; see :mod:`models.store`.
        output: Folder of the index.
        factory: faiss's factory string: ``IVF4096,PQ8x8``, ``OPQ8_64,IVF1024,PQ8``, ``PCA64,LSH``,
            ``HNSW32``, ``Flat``, ...
        metric: ``l2``, or ``ip`` for inner products.
        train: Folder of descriptors to train on; None trains on the first folder of ``features``.
        memory_mb: Memory limit for descriptors in MiB. A random sample of the training descriptors
            is used if not all fit.
        shards: Number of files, with equal numbers of entries. Results are those of a single file;
            HNSW and refined indices find slightly more, as each file has its own graph or
            candidates.
        processes: Processes that fill shards in parallel; each holds one shard in memory.
        seed: Seed of the training sample.

    Returns:
        The filled index.

    Raises:
        FileNotFoundError: If a folder holds no descriptors.
        ValueError: If descriptors are of different extractors or too few, faiss refuses the index,
            or the folder holds another index.
    """
    if min(memory_mb, shards, processes) < 1:
        msg = (
            f"memory_mb, shards and processes must be at least 1, got {memory_mb}, {shards} and "
            f"{processes}"
        )
        raise ValueError(msg)
    if processes > shards:
        msg = (
            f"{processes} processes need at least as many shards, got {shards}; lower processes or "
            "raise shards"
        )
        raise ValueError(msg)
    # descriptors
    stores = [VectorStore.open(folder) for folder in features]
    training = VectorStore.open(train) if train else stores[0]
    _check_same_extractor([training, *stores])
    rows_in_memory = _rows_in_memory(memory_mb, training.dimension)
    training_rows = min(len(training), rows_in_memory)
    # trained index
    facts: dict[str, Any] = {
        "factory": factory,
        "metric": metric,
        "extractor": training.embedder,
        "training": {
            "rows": training_rows,
            "of": len(training),
            "seed": seed,
            "sha256": _digest(training, rows_in_memory),
        },
    }
    trained = _train_or_read(output, facts, training, training_rows, seed)
    index = Index(trained, [], facts)
    # filling of a single file
    if shards == 1:
        for store in progress(stores, unit="folder"):
            index.add(store, min(rows_in_memory, CHUNK))
        index.save(output)
        return index
    # filling of several files
    for store in stores:
        index.names = index.admit(store)
    index.facts = facts | {"shards": shards}
    chunk = max(1, min(rows_in_memory // processes, CHUNK))
    files = index_files(output, index.facts)
    fill_shards(output / TRAINED, features, len(index), files, processes, chunk)
    index.save_names(output)
    return Index.open(output, mapped=True)


def add(folder: Path, features: Sequence[Path], memory_mb: int = 1024) -> Index:
    """Insert descriptors into an index on disk.

    The index is left unchanged if any descriptors are refused.

    Args:
        folder: Folder of the index.
        features: Folders of descriptors.
        memory_mb: Memory limit for descriptors in MiB.

    Returns:
        The filled index.

    Raises:
        FileNotFoundError: If a folder holds no index or no descriptors.
        ValueError: If descriptors are of another extractor or length, or a name is in the index
            already.
    """
    index = Index.open(folder)
    chunk = min(CHUNK, _rows_in_memory(memory_mb, index.dimension))
    for descriptor_folder in features:
        index.add(VectorStore.open(descriptor_folder), chunk)
    index.save(folder)
    return index


def _rows_in_memory(memory_mb: int, dimension: int) -> int:
    """Count the float32 descriptors that fit in memory, at least 1."""
    return max(1, memory_mb * MEGABYTE // (4 * dimension))


def _check_same_extractor(stores: Sequence[VectorStore]) -> None:
    first = stores[0]
    remedy = "extract all with one extractor and the same settings"
    for store in stores[1:]:
        if store.dimension != first.dimension:
            lengths = f"{store.dimension} and of {first.dimension} values"
            msg = f"descriptors of {lengths} cannot be in one index; {remedy}"
            raise ValueError(msg)
        if store.fingerprint and first.fingerprint and store.fingerprint != first.fingerprint:
            names = f"{store.embedder.get('name')} and of {first.embedder.get('name')}"
            msg = f"descriptors of {names} differ in weights or preprocessing; {remedy}"
            raise ValueError(msg)


def _train_or_read(
    output: Path,
    facts: dict[str, Any],
    training: VectorStore,
    count: int,
    seed: int,
) -> Any:
    """Read the trained, empty index of a folder, or train it."""
    # trained index of an earlier run
    if (output / FACTS).is_file():
        earlier = read_facts(output)
        if any(earlier.get(key) != facts[key] for key in facts):
            msg = (
                f"{output} holds an index of other settings or descriptors; choose another folder "
                "or delete it"
            )
            raise ValueError(msg)
        if (output / TRAINED).is_file():
            expected = earlier.get("sha256", {}).get(TRAINED)
            return read_faiss(output / TRAINED, expected=expected)
    # training
    factory = facts["factory"]
    index = make_index(factory, training.dimension, facts["metric"])
    if not index.is_trained:
        sample = training_sample(training, count, seed)
        message = f"{factory} cannot be trained on {len(sample)} descriptors"
        with faiss_errors(f"{message}; give more, or choose a smaller index"):
            index = _train(index, sample)
    # record
    write_faiss(index, output / TRAINED)
    write_facts(output, facts | {"sha256": {TRAINED: file_digest(output / TRAINED)}})
    return index


def _train(index: Any, sample: NDArray[np.float32]) -> Any:
    """Train an index, on all GPUs that faiss supports."""
    if getattr(faiss, "get_num_gpus", int)() == 0:
        index.train(sample)
        return index
    on_gpus = faiss.index_cpu_to_all_gpus(index)
    on_gpus.train(sample)
    return faiss.index_gpu_to_cpu(on_gpus)


def training_sample(features: VectorStore, count: int, seed: int) -> NDArray[np.float32]:
    """Sample training descriptors, in their order.

    Args:
        features: All training descriptors.
        count: Number of rows; all if there are no more.
        seed: Seed of the sample.

    Returns:
        (count, D) float32.
    """
    if count >= len(features):
        return features.rows(0, len(features))
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(features), count, replace=False))
    return np.ascontiguousarray(features.matrix[rows], dtype=np.float32)


def _digest(features: VectorStore, step: int) -> str:
    digest = hashlib.sha256()
    for start in range(0, len(features), step):
        rows = np.ascontiguousarray(features.matrix[start : start + step], dtype=np.float32)
        digest.update(rows.tobytes())
    return digest.hexdigest()
