"""faiss indices: building from a string, reading, writing, joining."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import torch

from engine.files import atomic_write, check_digest
from models.search import METRICS, Metric, faiss_errors

REMEDY = "build the index again"

MAX_CELLS = 2**24
"""Largest number of IVF cells in a factory string."""

MAX_COUNT = 2**16
"""Largest number of links, dimensions or bits in a factory string."""


def make_index(factory: str, dimension: int, metric: Metric) -> Any:
    """Build an empty, untrained index.

    Args:
        factory: faiss's factory string.
        dimension: Length of a descriptor.
        metric: ``l2``, or ``ip`` for inner products.

    Raises:
        ValueError: If faiss does not support the string, or not for descriptors of this length.
    """
    message = f"faiss makes no index of '{factory}' for descriptors of {dimension} values"
    if fault := _fault(factory):
        msg = f"{message}: {fault}"
        raise ValueError(msg)
    with faiss_errors(message):
        return faiss.index_factory(dimension, factory, METRICS[metric])


def _fault(factory: str) -> str:
    """Describe a fault on which faiss would crash; empty if none."""
    if "IDMap" in factory:
        return "entries get their numbers from their names; leave IDMap out"
    for kind, count in re.findall(r"([A-Za-z]*)(\d+)", factory):
        largest = MAX_CELLS if kind == "IVF" else MAX_COUNT
        if int(count) > largest:
            return f"{kind}{count} is more than the {largest} that an index can have"
    if re.search(r"(?<![\d.])0+(?![\d.])", factory):
        return "numbers must be at least 1"
    if re.search(r"HNSW1(?!\d)", factory):
        return "HNSW needs at least 2 links per entry"
    return ""


def joined(parts: Sequence[Any]) -> Any:
    """Join indices into one, with consecutive ids across the parts."""
    # faiss's stub knows another overload alone
    threaded = torch.get_num_threads() > 1
    shards = faiss.IndexShards(parts[0].d, threaded, True)  # type: ignore[call-arg]
    for part in parts:
        shards.add_shard(part)
    return shards


def is_joined(index: Any) -> bool:
    """Return True if an index is a result of :func:`joined`."""
    return isinstance(index, faiss.IndexShards)


def read_faiss(file: Path, flags: int = 0, expected: str | None = None) -> Any:
    """Read a trained faiss index.

    Args:
        file: The file.
        flags: faiss's I/O flags.
        expected: Expected sha256 of the file; None skips the comparison.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If the index is damaged or not trained.
    """
    if not file.is_file():
        msg = f"{file}: no such index; python -m indexing build makes one"
        raise FileNotFoundError(msg)
    check_digest(file, expected, REMEDY)
    with faiss_errors(f"{file} is damaged or not an index; {REMEDY}"):
        index = faiss.read_index(str(file), flags)
    if not index.is_trained:
        msg = f"{file}: this index is not trained; build it with training descriptors"
        raise ValueError(msg)
    return linked(index)


def linked(index: Any) -> Any:
    """Restore the quantizer of a fast-scan index in place.

    faiss's fast-scan indices lose it when read or cloned, and crash on decoding.
    """
    base = faiss.try_extract_index_ivf(index)
    ivf: Any = None if base is None else faiss.downcast_index(base)
    quantizer = next((getattr(ivf, name) for name in ("pq", "aq") if hasattr(ivf, name)), None)
    if hasattr(ivf, "fine_quantizer") and quantizer is not None:
        ivf.fine_quantizer = quantizer
    return index


def map_flags(factory: str) -> int:
    """Return faiss's I/O flags to memory-map an index."""
    return int(faiss.IO_FLAG_MMAP if "IVF" in factory else faiss.IO_FLAG_MMAP_IFC)


def search_parameters(index: Any) -> str:
    """Return the search parameters that are in effect, such as ``nprobe=1``; empty without any."""
    ivf = faiss.try_extract_index_ivf(index)
    if ivf is not None:
        return f"nprobe={ivf.nprobe}"
    hnsw = getattr(faiss.downcast_index(index), "hnsw", None)
    return "" if hnsw is None else f"efSearch={hnsw.efSearch}"


def write_faiss(index: Any, file: Path) -> None:
    """Write an index atomically.

    Raises:
        ValueError: If the file cannot be written.
    """
    with atomic_write(file) as partial:
        write_part(index, file, partial)


def write_part(index: Any, file: Path, target: Path) -> None:
    """Write an index to a temporary file.

    Args:
        index: The index.
        file: Final name of the file, for messages.
        target: Temporary file.

    Raises:
        ValueError: If the file cannot be written.
    """
    with faiss_errors(f"{file} cannot be written"):
        faiss.write_index(index, str(target))
