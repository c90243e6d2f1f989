"""faiss indices: made from a string, read, written, and joined."""

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

MAX_CELLS, MAX_COUNT = 2**24, 2**16
"""Largest numbers in a factory string: of cells, and of links, dimensions and bits."""


def make_index(factory: str, dimension: int, metric: Metric) -> Any:
    """An empty, untrained index.

    Raises:
        ValueError: If faiss knows no such string, or not for descriptors of this length.
    """
    what = f"faiss makes no index of '{factory}' for descriptors of {dimension} values"
    if fault := _fault(factory):
        msg = f"{what}: {fault}"
        raise ValueError(msg)
    with faiss_errors(what):
        return faiss.index_factory(dimension, factory, METRICS[metric])


def _fault(factory: str) -> str:
    """What is wrong with a string that faiss takes and then crashes on; empty if nothing."""
    if "IDMap" in factory:
        return "entries are numbered by their names here; leave IDMap out"
    for kind, count in re.findall(r"([A-Za-z]*)(\d+)", factory):
        most = MAX_CELLS if kind == "IVF" else MAX_COUNT
        if int(count) > most:
            return f"{kind}{count} is more than the {most} that an index can have"
    if re.search(r"(?<![\d.])0+(?![\d.])", factory):
        return "its numbers begin at 1"
    if re.search(r"HNSW1(?!\d)", factory):
        return "a graph needs 2 links or more for each entry"
    return ""


def joined(parts: Sequence[Any]) -> Any:
    """Several indices as one, whose ids go on from part to part."""
    shards = faiss.IndexShards(parts[0].d, torch.get_num_threads() > 1, True)  # type: ignore[call-arg]  # its stub knows another overload alone
    for part in parts:
        shards.add_shard(part)
    return shards


def is_joined(index: Any) -> bool:
    """Whether it is one of :func:`joined`."""
    return isinstance(index, faiss.IndexShards)


def read_faiss(file: Path, flags: int = 0, expected: str | None = None) -> Any:
    """A faiss file, opened.

    Args:
        file: The file.
        flags: faiss's own.
        expected: Its sha256; not compared if None.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged or not trained.
    """
    if not file.is_file():
        msg = f"{file}: no such index; python -m indexing build makes one"
        raise FileNotFoundError(msg)
    check_digest(file, expected, REMEDY)
    with faiss_errors(f"{file} is damaged or not an index; {REMEDY}"):
        index = faiss.read_index(str(file), flags)
    if not index.is_trained:
        msg = f"{file}: this index is not trained; build it with training features"
        raise ValueError(msg)
    return linked(index)


def linked(index: Any) -> Any:
    """An index that can decode: faiss's fast-scan indices lose their quantizer when they are read or cloned, and crash then."""
    found = faiss.try_extract_index_ivf(index)
    ivf: Any = None if found is None else faiss.downcast_index(found)
    quantizer = next((getattr(ivf, name) for name in ("pq", "aq") if hasattr(ivf, name)), None)
    if hasattr(ivf, "fine_quantizer") and quantizer is not None:
        ivf.fine_quantizer = quantizer
    return index


def write_faiss(index: Any, file: Path) -> None:
    """Write an index, whole or not at all.

    Raises:
        ValueError: If it cannot be written.
    """
    with atomic_write(file) as beside:
        write_part(index, file, beside)


def write_part(index: Any, file: Path, target: Path) -> None:
    """Write an index to a place that becomes a file later; errors name the file."""
    with faiss_errors(f"{file} cannot be written"):
        faiss.write_index(index, str(target))
