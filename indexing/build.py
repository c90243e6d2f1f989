"""The ``build`` job: training and filling indices."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from engine.files import file_digest
from engine.progress import progress
from indexing.background import open_background
from indexing.calibrate import from_background, from_entries
from indexing.entries import DIGESTS, Inserted, store_digests
from indexing.faiss_files import joined, make_index, map_flags, read_faiss, write_faiss
from indexing.index import Index
from indexing.index_facts import FACTS, TRAINED, index_files, read_facts, write_facts
from indexing.named_index import CHUNK
from indexing.shards import fill_shards
from indexing.similarity import UNIT_ROWS, similarity_kind
from indexing.update import rows_in_memory, synchronize
from models.search import Metric, faiss_errors
from models.store import VectorStore

log = logging.getLogger(__name__)


def build(
    features: Sequence[Path],
    output: Path,
    factory: str = "IVF4096,PQ8x8",
    metric: Metric = "l2",
    train: Path | None = None,
    background: Path | None = None,
    parameters: str = "",
    memory_mb: int = 1024,
    shards: int = 1,
    processes: int = 1,
    seed: int = 0,
) -> Index:
    """Train and fill an index, and calibrate its threshold.

    An index in the folder, of the same settings, is updated: only new and changed descriptors are
    inserted, and nothing is trained again.

    Args:
        features: Folders of descriptors to insert; see :mod:`models.store`.
        output: Folder of the index.
        factory: faiss's factory string: ``IVF4096,PQ8x8``, ``OPQ8_64,IVF1024,PQ8``, ``PCA64,LSH``,
            ``HNSW32``, ``Flat``, ...
        metric: ``l2``, or ``ip`` for inner products.
        train: Folder of descriptors to train on; None trains on the first folder of ``features``.
        background: Descriptors, or images, that are not in the index: search calibrates its
            verdicts on them; None calibrates on the entries.
        parameters: faiss's search parameters to calibrate with, such as ``nprobe=16``; the default
            of searches.
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
    limit = rows_in_memory(memory_mb, training.dimension)
    chunk = min(limit, CHUNK)
    # settings
    facts: dict[str, Any] = {
        "factory": factory,
        "metric": metric,
        "extractor": training.embedder,
        "training": {
            "rows": min(len(training), limit),
            "of": len(training),
            "seed": seed,
            "sha256": _digest(training, limit),
        },
    }
    # an index to update
    earlier = _earlier_index(output, facts, shards)
    if earlier is not None:
        changes, inserted = synchronize(earlier, stores, chunk)
        if earlier.facts.get("training") != facts["training"] and (
            train or changes.kept < changes.added + changes.replaced
        ):
            raise ValueError(_other_index(output))
        log.info("%s: %s", output, changes)
        _calibrate(earlier, inserted, background, parameters, seed)
        earlier.save(output)
        return earlier
    # a new index
    trained = _train_or_read(output, facts, training, seed)
    facts["similarity"] = similarity_kind(metric, training.rows(0, UNIT_ROWS))
    index = Index(trained, [], facts)
    known: set[str] = set()
    for store in stores:
        index.admit(store, known)
    if shards == 1:
        inserted = []
        for store in progress(stores, unit="folder"):
            inserted.append(index.insert(store, np.arange(len(store)), chunk))
        _calibrate(index, inserted, background, parameters, seed)
        index.save(output)
        return index
    # the same in several files
    index.facts = facts | {"shards": shards}
    inserted = []
    for store in stores:
        ids = np.arange(len(index.names), len(index.names) + len(store))
        index.entries.append(store.names, store_digests(store))
        inserted.append(Inserted(store, np.arange(len(store)), ids))
    files = index_files(output, index.facts)
    rows_each = max(1, min(limit // processes, CHUNK))
    fill_shards(output / TRAINED, features, len(index), files, processes, rows_each)
    index.index = joined([read_faiss(file, map_flags(factory)) for file in files])
    _calibrate(index, inserted, background, parameters, seed)
    index.save_names(output)
    return index


def _calibrate(
    index: Index,
    inserted: Sequence[Inserted],
    background: Path | None,
    parameters: str,
    seed: int,
) -> None:
    """Calibrate the threshold of an index after insertions."""
    earlier = index.strangers
    if background is not None:
        store = open_background(background, index.facts.get("extractor", {}))
        strangers = from_background(index, store, seed)
    elif earlier is not None and earlier.source == "background":
        strangers = earlier
    else:
        strangers = from_entries(index, earlier, inserted, seed)
    index.calibrate(strangers, parameters or index.default_parameters)


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


def _other_index(output: Path) -> str:
    return (
        f"{output} holds an index of other settings or descriptors; choose another folder or "
        "delete it"
    )


def _earlier_index(output: Path, facts: dict[str, Any], shards: int) -> Index | None:
    """Open an index to update; None if the folder has none, or an incomplete one.

    Raises:
        ValueError: If the folder holds an index of other settings.
    """
    if not (output / FACTS).is_file():
        return None
    earlier = read_facts(output)
    if any(earlier.get(key) != facts[key] for key in ("factory", "metric", "extractor")):
        raise ValueError(_other_index(output))
    is_whole = DIGESTS in earlier.get("sha256", {}) and earlier.get("shards", 1) == shards
    if is_whole and all(file.is_file() for file in index_files(output, earlier)):
        return Index.open(output)
    if earlier.get("training") != facts["training"]:
        raise ValueError(_other_index(output))
    return None


def _train_or_read(output: Path, facts: dict[str, Any], training: VectorStore, seed: int) -> Any:
    """Read the trained, empty index of a folder, or train it."""
    # trained index of an earlier run
    if (output / FACTS).is_file() and (output / TRAINED).is_file():
        expected = read_facts(output).get("sha256", {}).get(TRAINED)
        return read_faiss(output / TRAINED, expected=expected)
    # training
    factory = facts["factory"]
    index = make_index(factory, training.dimension, facts["metric"])
    if not index.is_trained:
        sample = training_sample(training, facts["training"]["rows"], seed)
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
