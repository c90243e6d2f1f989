"""Entries of an index: names and digests of descriptors, by id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexing.faiss_files import REMEDY
from models.store import VectorStore

DIGESTS = "digests.npy"

Digests = NDArray[np.uint64]

HASHED_ROWS = 2048
"""Descriptors hashed at a time."""


@dataclass(frozen=True)
class Inserted:
    """Rows of a store that were inserted into an index.

    Attributes:
        store: The store.
        rows: (n,) the rows.
        ids: (n,) their ids.
    """

    store: VectorStore
    rows: NDArray[np.int64]
    ids: NDArray[np.int64]


class Entries:
    """Names and digests of an index's entries.

    An entry's id is its position for good: a removed entry leaves an empty name.

    Args:
        names: Name of each id; empty for removed entries.
        digests: Digest of each id's descriptor; None if unknown, as in indices of earlier versions.
    """

    def __init__(self, names: list[str], digests: Digests | None = None) -> None:
        self.names = names
        self.digests = np.zeros(0, np.uint64) if digests is None and not names else digests
        self._ids: dict[str, int] = {}
        self.removed = np.array([id_ for id_, name in enumerate(names) if not name], np.int64)

    def __len__(self) -> int:
        """Number of entries that are not removed."""
        return len(self.names) - len(self.removed)

    def ids(self) -> dict[str, int]:
        """Return the id of each name."""
        # The table takes memory, so it is built on first use.
        if not self._ids:
            self._ids = {name: id_ for id_, name in enumerate(self.names) if name}
        return self._ids

    def append(self, names: Sequence[str], digests: Digests) -> None:
        """Append new entries."""
        if self.digests is not None:
            self.digests = np.concatenate([self.digests, digests])
        self.names = [*self.names, *names]
        self._ids = {}

    def remove(self, ids: Iterable[int]) -> None:
        """Remove entries; all other ids stay."""
        names = list(self.names)
        for id_ in ids:
            names[id_] = ""
        self.names = names
        self.removed = np.array([id_ for id_, name in enumerate(names) if not name], np.int64)
        self._ids = {}

    def is_live(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return True for each id of an entry; False for removed ones and -1."""
        return (ids >= 0) & ~np.isin(ids, self.removed)

    def has_twin(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return True for each id whose descriptor another entry has to the bit."""
        if self.digests is None:
            return np.zeros(len(ids), bool)
        live = np.ones(len(self.names), bool)
        live[self.removed] = False
        values, counts = np.unique(self.digests[live], return_counts=True)
        return np.isin(self.digests[ids], values[counts > 1])


def digests_of(rows: NDArray[np.float32]) -> Digests:
    """Hash descriptors, (N, D) to (N,): equal ones alike, different ones almost surely not."""
    factors = np.random.default_rng(0).integers(1, 2**63, rows.shape[1], dtype=np.uint64)
    parts = [np.zeros(0, np.uint64)]
    for start in range(0, len(rows), HASHED_ROWS):  # 64-bit copies take memory
        block = np.ascontiguousarray(rows[start : start + HASHED_ROWS], dtype=np.float32)
        with np.errstate(over="ignore"):
            mixed = (block.view(np.uint32) + np.uint64(1)) * (2 * factors + np.uint64(1))
            mixed ^= mixed >> np.uint64(29)
            parts.append(mixed.sum(axis=1, dtype=np.uint64))
    return np.concatenate(parts)


def store_digests(store: VectorStore, chunk: int = 8 * HASHED_ROWS) -> Digests:
    """Hash the descriptors of a store."""
    parts = [digests_of(store.rows(i, i + chunk)) for i in range(0, len(store), chunk)]
    return np.concatenate(parts)


def write_digests(target: Path, digests: Digests) -> None:
    """Write digests as a file of NumPy."""
    with target.open("wb") as stream:
        np.save(stream, digests)


def read_digests(file: Path, count: int) -> Digests:
    """Read the digests of an index with ``count`` ids.

    Raises:
        ValueError: If the file is damaged or has another number of digests.
    """
    try:
        digests = np.load(file, allow_pickle=False)
    except Exception as error:  # damaged headers make NumPy raise nearly anything
        msg = f"{file}: damaged ({error}); {REMEDY}"
        raise ValueError(msg) from error
    if digests.dtype != np.uint64 or digests.shape != (count,):
        msg = f"{file}: not one digest for each of {count} entries; {REMEDY}"
        raise ValueError(msg)
    return digests
