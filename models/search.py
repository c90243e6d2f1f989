"""Searching vectors: exactly over matrices on disk, or by a faiss index, with one way to rank what is found.

Letters: Q = queries, N = vectors, D = length of a vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from models.store import VectorStore

Metric = Literal["l2", "ip"]
METRICS = {"l2": faiss.METRIC_L2, "ip": faiss.METRIC_INNER_PRODUCT}

BLOCK = 65_536
"""Vectors compared at a time."""

PRODUCTS_FROM = 4096
"""Numbers in the queries from which on matrix products are faster than single comparisons."""

Ranking = list[tuple[str, float]]
"""Names and scores, best first; equal scores in the order of names."""

Neighbors = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Distances (squared L2, ascending, or inner products, descending) and ids, (Q, k) each; ids of -1 where nothing was found."""

faiss.omp_set_num_threads(torch.get_num_threads())  # each library would take all cores, and they would wait for one another


@contextmanager
def faiss_errors(what: str) -> Iterator[None]:
    """Turn errors of faiss, whose first line names one of its source files, into one line that says what was tried."""
    try:
        yield
    except (RuntimeError, AssertionError, MemoryError) as error:
        words = str(error).split("Error: ")[-1].strip().split("\n")[0]
        msg = f"{what}: {words or type(error).__name__}"
        raise ValueError(msg) from error


class Searchable(Protocol):
    """Named vectors that are searched: :class:`ExactIndex`, or :class:`indexing.index.Index`."""

    names: list[str]

    @property
    def metric(self) -> Metric: ...

    def search(self, queries: NDArray[np.float32], k: int, parameters: str = "") -> Neighbors: ...

    def check(self, fingerprint: str, dimension: int, what: str) -> None: ...


def check_comparable(known: Mapping[str, Any], expected: int, fingerprint: str, dimension: int, what: str) -> None:
    """Refuse vectors that cannot be compared with those that are searched.

    Args:
        known: Record of the embedder of those that are searched; may be empty.
        expected: Their length.
        fingerprint: Of the others' embedder; empty if nobody knows.
        dimension: Their length.
        what: They are, for the message.

    Raises:
        ValueError: If their length or their embedder is another.
    """
    if dimension != expected:
        msg = f"{what} have {dimension} values each, the index's descriptors {expected}; use the extractor it was built with"
        raise ValueError(msg)
    if fingerprint and known.get("fingerprint") and fingerprint != known["fingerprint"]:
        msg = (
            f"{what} are of another extractor than the index, which was built with {known.get('name')} (size {known.get('size')}, "
            f"antialias {known.get('antialias')}, unit {known.get('unit')}); distances between the two mean nothing"
        )
        raise ValueError(msg)


def rankings(index: Searchable, queries: NDArray[np.float32], k: int) -> list[Ranking]:
    """The ``k`` nearest of each of (Q, D) queries, by name, with similarities: larger is nearer.

    Raises:
        ValueError: If ``k`` is below 1.
    """
    distances, ids = index.search(queries, k)
    sign = -1.0 if index.metric == "l2" else 1.0
    return [
        [(index.names[number], sign * value) for value, number in zip(*row, strict=True) if number >= 0]
        for row in zip(distances.tolist(), ids.tolist(), strict=True)
    ]


class ExactIndex:
    """All vectors of one or more stores, searched exactly, without an index to build.

    Args:
        parts: Names and vectors (n, D), on disk or in memory; rows without a name are passed over.
        metric: ``ip``: inner products, which are cosines for vectors of unit length; ``l2``: squared distances.
        embedder: Record of what they are of; may be empty.
    """

    def __init__(
        self,
        parts: Sequence[tuple[Sequence[str], NDArray[np.float32]]],
        metric: Metric = "ip",
        embedder: Mapping[str, Any] | None = None,
    ) -> None:
        self.metric: Metric = metric
        self.embedder = embedder or {}
        self.names = sorted({name for part, _ in parts for name in part if name})
        order = {name: place for place, name in enumerate(self.names)}
        self.blocks: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
        for names, matrix in parts:
            places = np.array([order.get(name, -1) for name in names], dtype=np.int64)
            self.blocks += [(places[start:stop], matrix[start:stop]) for start, stop in _blocks(places >= 0)]

    @classmethod
    def from_stores(
        cls,
        stores: Mapping[str, VectorStore],
        without: frozenset[str] = frozenset(),
        limit: int | None = None,
    ) -> ExactIndex:
        """The index of some collections; names begin with the collection's: ``originals/a.jpg``.

        Args:
            stores: By the collection's name.
            without: Names that are left out.
            limit: Only the first so many images of the first collection are searched; None for all.
        """
        parts = []
        for place, (label, store) in enumerate(stores.items()):
            names = [f"{label}/{name}" for name in store.labels]
            kept = sorted(set(names) - without)
            searched = set(kept[:limit] if place == 0 else kept)
            parts.append(([name if name in searched else "" for name in names], store.matrix))
        return cls(parts)

    def check(self, fingerprint: str, dimension: int, what: str) -> None:
        """Refuse vectors that cannot be compared with these; see :func:`check_comparable`."""
        widths = {matrix.shape[1] for _, matrix in self.blocks}
        check_comparable(self.embedder, next(iter(widths), dimension), fingerprint, dimension, what)

    def search(self, queries: NDArray[np.float32], k: int, parameters: str = "") -> Neighbors:
        """The ``k`` nearest of each of (Q, D) queries; equal ones in the order of names.

        Raises:
            ValueError: If ``k`` is below 1, the vectors are of another length, or search parameters are given.
        """
        if k < 1:
            msg = f"at least 1 neighbour must be asked for, got {k}"
            raise ValueError(msg)
        if parameters:
            msg = f"an exact search has no parameters, got '{parameters}'"
            raise ValueError(msg)
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        distances, ids = (
            np.empty((len(queries), 0), np.float32),
            np.empty((len(queries), 0), np.int64),
        )
        for places, matrix in self.blocks:
            if matrix.shape[1] != queries.shape[1]:
                msg = f"the queries have {queries.shape[1]} values each, the vectors {matrix.shape[1]}; use the embedder they are of"
                raise ValueError(msg)
            near, rows = self._nearest(queries, np.ascontiguousarray(matrix, dtype=np.float32), k)
            numbers = np.where(rows < 0, -1, places[rows])
            distances, ids = (
                np.concatenate([distances, near], axis=1),
                np.concatenate([ids, numbers], axis=1),
            )
            best = np.lexsort((ids, distances if self.metric == "l2" else -distances))[:, :k]
            distances, ids = (
                np.take_along_axis(distances, best, 1),
                np.take_along_axis(ids, best, 1),
            )
        return distances, ids

    def _nearest(self, queries: NDArray[np.float32], matrix: NDArray[np.float32], k: int) -> Neighbors:
        """At least the ``k`` nearest rows, and all that are as near as the last of them."""
        asked = min(k + 1, len(matrix))
        while True:
            with (
                faiss_errors("these vectors cannot be searched"),
                _matrix_products(self.metric == "ip"),
            ):
                distances, rows = faiss.knn(queries, matrix, asked, METRICS[self.metric])
            if asked == len(matrix) or (distances[:, -1] != distances[:, k - 1]).all():
                return distances, rows
            asked = min(2 * asked, len(matrix))


@contextmanager
def _matrix_products(wanted: bool) -> Iterator[None]:
    """Let faiss multiply matrices for a few queries already, which is five times faster; for distances it would be less exact."""
    usual = faiss.cvar.distance_compute_blas_threshold
    if wanted:
        faiss.cvar.distance_compute_blas_threshold = PRODUCTS_FROM
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = usual


def _blocks(live: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Runs of rows that are searched, at most :data:`BLOCK` long."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], live, [False]]).astype(np.int8)))
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        for first in range(start, stop, BLOCK):
            yield first, min(first + BLOCK, stop)
