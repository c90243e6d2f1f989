"""Nearest-neighbor search: exact over matrices on disk, or by a faiss index.

Letters: Q = queries, N = vectors, D = length of a vector.
"""

from __future__ import annotations

import re
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

BLOCK_ROWS = 65_536
"""Vectors compared at a time."""

MATRIX_PRODUCT_MIN_VALUES = 4096
"""Number of query values above which matrix products are faster than single comparisons."""

Ranking = list[tuple[str, float]]
"""Names and scores, best first; equal scores in the order of names."""

Neighbors = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Distances and ids, (Q, k) each.

Distances are squared L2, ascending, or inner products, descending. Missing neighbors have id -1.
"""

FAISS_PLACE = re.compile(r"^Error in .* at \S+:\d+: ")
"""Beginning of faiss's messages: a place in its source."""

# Limit faiss to torch's threads; otherwise both libraries would compete for all cores.
faiss.omp_set_num_threads(torch.get_num_threads())


@contextmanager
def faiss_errors(what: str) -> Iterator[None]:
    """Convert faiss errors to a one-line ValueError that begins with ``what``."""
    try:
        yield
    except (RuntimeError, AssertionError, MemoryError) as error:
        words = str(error).split("Error: ")[-1].strip().split("\n")[0]
        words = FAISS_PLACE.sub("", words)
        msg = f"{what}: {words or type(error).__name__}"
        raise ValueError(msg) from error


class Searchable(Protocol):
    """Protocol of searchable indices of named vectors.

    Implementations are :class:`ExactIndex` and :class:`indexing.index.Index`.
    """

    @property
    def names(self) -> list[str]: ...

    @property
    def metric(self) -> Metric: ...

    def search(self, queries: NDArray[np.float32], k: int, parameters: str = "") -> Neighbors:
        """Find the nearest neighbors of each query.

        Args:
            queries: (Q, D) float32.
            k: Number of neighbors, at least 1.
            parameters: Search parameters of faiss, such as ``nprobe=8``.
        """
        ...

    def check(self, fingerprint: str, dimension: int, what: str) -> None:
        """Refuse vectors that are not comparable; see :func:`check_comparable`."""
        ...


def check_comparable(
    known: Mapping[str, Any], expected: int, fingerprint: str, dimension: int, what: str
) -> None:
    """Refuse query vectors that are not comparable with an index.

    Args:
        known: Record of the index's embedder; may be empty.
        expected: Length of the index's vectors.
        fingerprint: Fingerprint of the queries' embedder; empty if unknown.
        dimension: Length of the queries.
        what: Name of the queries in error messages.

    Raises:
        ValueError: If length or embedder differ.
    """
    if dimension != expected:
        msg = (
            f"{what} have {dimension} values each, the index's descriptors {expected}; "
            "use the extractor it was built with"
        )
        raise ValueError(msg)
    if fingerprint and known.get("fingerprint") and fingerprint != known["fingerprint"]:
        msg = (
            f"{what} are of another extractor than the index, "
            f"which was built with {known.get('name')} (size {known.get('size')}, "
            f"antialias {known.get('antialias')}, unit {known.get('unit')}); "
            "distances between the two mean nothing"
        )
        raise ValueError(msg)


def rankings(index: Searchable, queries: NDArray[np.float32], k: int) -> list[Ranking]:
    """Rank the nearest neighbors of each query.

    Args:
        index: Index to search.
        queries: (Q, D) float32.
        k: Number of neighbors, at least 1.

    Returns:
        For each query names and similarities; larger is nearer.

    Raises:
        ValueError: If ``k`` is below 1.
    """
    distances, ids = index.search(queries, k)
    sign = -1.0 if index.metric == "l2" else 1.0
    result: list[Ranking] = []
    for row_distances, row_ids in zip(distances.tolist(), ids.tolist(), strict=True):
        pairs = zip(row_distances, row_ids, strict=True)
        result.append([(index.names[id_], sign * value) for value, id_ in pairs if id_ >= 0])
    return result


class ExactIndex:
    """Exact search over the vectors of one or more stores.

    Args:
        parts: Names and (n, D) vectors, on disk or in memory; rows with an empty name are skipped.
        metric: ``ip`` for inner products, ``l2`` for squared distances.
        embedder: Record of the vectors' embedder; may be empty.
    """

    def __init__(
        self,
        parts: Sequence[tuple[Sequence[str], NDArray[np.float32]]],
        metric: Metric = "ip",
        embedder: Mapping[str, Any] | None = None,
    ) -> None:
        self.metric: Metric = metric
        self.embedder = embedder or {}
        unique: set[str] = set()
        for names, _ in parts:
            unique.update(name for name in names if name)
        self.names = sorted(unique)
        order = {name: id_ for id_, name in enumerate(self.names)}
        self.blocks: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
        for names, matrix in parts:
            ids = np.array([order.get(name, -1) for name in names], dtype=np.int64)
            for start, stop in _blocks(ids >= 0):
                self.blocks.append((ids[start:stop], matrix[start:stop]))

    @classmethod
    def from_stores(
        cls,
        stores: Mapping[str, VectorStore],
        without: frozenset[str] = frozenset(),
        limit: int | None = None,
    ) -> ExactIndex:
        """Build the index of several collections.

        Names begin with the collection's name: ``originals/a.jpg``.

        Args:
            stores: Stores by name of the collection.
            without: Names to leave out.
            limit: Number of images of the first collection to search; None for all.
        """
        parts = []
        for number, (label, store) in enumerate(stores.items()):
            names = [f"{label}/{name}" for name in store.labels]
            kept = sorted(set(names) - without)
            searched = set(kept[:limit] if number == 0 else kept)
            live_names = [name if name in searched else "" for name in names]
            parts.append((live_names, store.matrix))
        return cls(parts)

    def check(self, fingerprint: str, dimension: int, what: str) -> None:
        """Refuse vectors that are not comparable with the index.

        Args:
            fingerprint: Fingerprint of the vectors' embedder; empty if unknown.
            dimension: Length of the vectors.
            what: Name of the vectors in error messages.
        """
        widths = {matrix.shape[1] for _, matrix in self.blocks}
        check_comparable(self.embedder, next(iter(widths), dimension), fingerprint, dimension, what)

    def search(self, queries: NDArray[np.float32], k: int, parameters: str = "") -> Neighbors:
        """Find the nearest neighbors of each query; ties are sorted by name.

        Args:
            queries: (Q, D) float32.
            k: Number of neighbors, at least 1.
            parameters: Must be empty.

        Raises:
            ValueError: If ``k`` is below 1, the lengths differ, or parameters are given.
        """
        # Check the arguments.
        if k < 1:
            msg = f"k must be at least 1, got {k}"
            raise ValueError(msg)
        if parameters:
            msg = f"an exact search has no parameters, got '{parameters}'"
            raise ValueError(msg)
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        # Merge the nearest of each block.
        distances = np.empty((len(queries), 0), np.float32)
        ids = np.empty((len(queries), 0), np.int64)
        for block_ids, matrix in self.blocks:
            if matrix.shape[1] != queries.shape[1]:
                msg = (
                    f"the queries have {queries.shape[1]} values, the vectors {matrix.shape[1]}; "
                    "use the vectors' embedder"
                )
                raise ValueError(msg)
            near, rows = self._nearest(queries, np.ascontiguousarray(matrix, dtype=np.float32), k)
            near_ids = np.where(rows < 0, -1, block_ids[rows])
            distances = np.concatenate([distances, near], axis=1)
            ids = np.concatenate([ids, near_ids], axis=1)
            best = np.lexsort((ids, distances if self.metric == "l2" else -distances))[:, :k]
            distances = np.take_along_axis(distances, best, 1)
            ids = np.take_along_axis(ids, best, 1)
        return distances, ids

    def _nearest(
        self, queries: NDArray[np.float32], matrix: NDArray[np.float32], k: int
    ) -> Neighbors:
        """Find the ``k`` nearest rows and all ties with the last of them."""
        asked = min(k + 1, len(matrix))
        while True:
            is_inner_product = self.metric == "ip"
            with (
                faiss_errors("these vectors cannot be searched"),
                _matrix_products(is_inner_product),
            ):
                distances, rows = faiss.knn(queries, matrix, asked, METRICS[self.metric])
            if asked == len(matrix) or (distances[:, -1] != distances[:, k - 1]).all():
                return distances, rows
            asked = min(2 * asked, len(matrix))


@contextmanager
def _matrix_products(wanted: bool) -> Iterator[None]:
    """Make faiss use matrix products for few queries, five times faster.

    Products are less exact for L2 distances, and are used for inner products only.
    """
    usual = faiss.cvar.distance_compute_blas_threshold
    if wanted:
        faiss.cvar.distance_compute_blas_threshold = MATRIX_PRODUCT_MIN_VALUES
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = usual


def _blocks(live: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield ranges of live rows, at most :data:`BLOCK_ROWS` long."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], live, [False]]).astype(np.int8)))
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        for first in range(start, stop, BLOCK_ROWS):
            yield first, min(first + BLOCK_ROWS, stop)
