"""The ``search`` job: copies of query images in an index."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexing.index import FACTS, Index
from models.search import ExactIndex, Metric, Searchable
from models.store import MATRIX, VectorStore


@dataclass(frozen=True)
class Match:
    """One neighbor of a query, a row of the table.

    Attributes:
        query: Name of the query.
        rank: Rank of the neighbor, from 1.
        match: Name of the neighbor.
        distance: Squared L2 distance, or inner product.
        score: Copy detection score, larger for better matches; see :func:`scores`.
    """

    query: str
    rank: int
    match: str
    distance: float
    score: float


COLUMNS = [field.name for field in fields(Match)]


def scores(
    distances: NDArray[np.floating],
    ids: NDArray[np.int64],
    beta: float = 0.0,
    metric: Metric = "l2",
) -> NDArray[np.float64]:
    """Compute copy detection scores, normalized by the next neighbor's distance.

    The score is ``-d_j + beta * d_(j+1)`` for distances and ``d_j - beta * d_(j+1)`` for inner
    products. Queries that are near to everything thus get lower scores.
    The last neighbor has no next one; its score is NaN unless ``beta`` is 0.

    Args:
        distances: (N, k), as returned by a search.
        ids: (N, k); -1 where no neighbor was found.
        beta: Weight of the next neighbor; the paper's programs use 1, and 0 gives plain distances.
        metric: Metric of the index.

    Returns:
        (N, k); NaN where there is no score.
    """
    sign = -1.0 if metric == "l2" else 1.0
    similarity = np.where(ids >= 0, sign * distances.astype(np.float64), np.nan)
    if beta == 0:
        return similarity
    no_next = np.full((len(similarity), 1), np.nan)
    next_similarity = np.concatenate([similarity[:, 1:], no_next], axis=1)
    return similarity - beta * next_similarity


def open_searchable(folder: Path, mapped: bool = False, verify: bool = True) -> Searchable:
    """Open an index, or descriptors for exact search.

    Args:
        folder: The folder.
        mapped: Memory-map the index; see :meth:`indexing.index.Index.open`.
        verify: Compare the files' sha256 with the record.

    Raises:
        FileNotFoundError: If the folder holds neither.
        ValueError: If the files are damaged.
    """
    if not (folder / FACTS).is_file() and (folder / MATRIX).is_file():
        store = VectorStore.open(folder, verify)
        return ExactIndex([(store.names, store.matrix)], "l2", store.embedder)
    return Index.open(folder, mapped, verify)


def search(
    index: Searchable,
    queries: VectorStore,
    k: int = 10,
    parameters: str = "",
    beta: float = 0.0,
    threshold: float | None = None,
    batch: int = 4096,
) -> list[Match]:
    """Search the neighbors of every query.

    Args:
        index: Index to search.
        queries: Descriptors of the queries.
        k: Neighbors per query.
        parameters: faiss's search parameters, such as ``nprobe=16``.
        beta: Weight of the next neighbor in the score; see :func:`scores`.
        threshold: Drop matches with lower scores; None keeps all.
        batch: Queries per batch.

    Returns:
        Matches by query, then by rank.

    Raises:
        ValueError: If the queries are of another extractor, or the index has no such parameter.
    """
    index.check(queries.fingerprint, queries.dimension, "these queries")
    neighbors = k + (beta != 0)  # the score of the last one needs a next one
    matches: list[Match] = []
    for start in range(0, len(queries), batch):
        # neighbors and scores of a batch
        rows = queries.rows(start, start + batch)
        distances, ids = index.search(rows, neighbors, parameters)
        batch_scores = scores(distances, ids, beta, index.metric)[:, :k]
        # matches at or above the threshold
        for row, query in enumerate(queries.names[start : start + batch]):
            for column, score in enumerate(batch_scores[row]):
                if np.isfinite(score) and (threshold is None or score >= threshold):
                    name = index.names[ids[row, column]]
                    distance = float(distances[row, column])
                    matches.append(Match(query, column + 1, name, distance, float(score)))
    return matches
