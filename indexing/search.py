"""The ``search`` job: which entries of an index are copies of these pictures?"""

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
    """One of a query's neighbours: a line of the table; ``rank`` counts from 1, ``score`` is larger for better matches."""

    query: str
    rank: int
    match: str
    distance: float
    score: float


COLUMNS = [field.name for field in fields(Match)]


def scores(distances: NDArray[np.floating], ids: NDArray[np.int64], beta: float = 0.0, metric: Metric = "l2") -> NDArray[np.float64]:
    """How surely neighbours are copies: near themselves, and nearer than what comes next.

    ``-d_j + beta * d_(j+1)`` for distances, ``d_j - beta * d_(j+1)`` for inner products, so that a query to which everything is near
    needs more. The last neighbour has no next one and is left out where ``beta`` is not 0.

    Args:
        distances: (N, k), as a search gives them.
        ids: (N, k); -1 where nothing was found.
        beta: Weight of the next neighbour; the paper's programs use 1, plain distances are 0.
        metric: Of the index.

    Returns:
        (N, k); NaN where there is no score.
    """
    sign = -1.0 if metric == "l2" else 1.0
    near = np.where(ids >= 0, sign * distances.astype(np.float64), np.nan)
    if beta == 0:
        return near
    following = np.concatenate([near[:, 1:], np.full((len(near), 1), np.nan)], axis=1)
    return near - beta * following


def open_searchable(folder: Path, mapped: bool = False, verify: bool = True) -> Searchable:
    """An index, or the descriptors in a folder, which are then searched exactly; arguments and errors as of :meth:`Index.open`."""
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
    """Neighbours of every query.

    Args:
        index: Where to look.
        queries: What to look for.
        k: Neighbours of each.
        parameters: faiss's own, such as ``nprobe=16``.
        beta: Of :func:`scores`.
        threshold: Leave out matches that score less.
        batch: Queries at a time.

    Raises:
        ValueError: If the queries are of another extractor, or a parameter is not the index's.
    """
    index.check(queries.fingerprint, queries.dimension, "these queries")
    found: list[Match] = []
    for start in range(0, len(queries), batch):
        distances, ids = index.search(queries.rows(start, start + batch), k + (beta != 0), parameters)
        good = scores(distances, ids, beta, index.metric)[:, :k]
        for place, name in enumerate(queries.names[start : start + batch]):
            for rank, value in enumerate(good[place]):
                if np.isfinite(value) and (threshold is None or value >= threshold):
                    match = index.names[ids[place, rank]]
                    found.append(Match(name, rank + 1, match, float(distances[place, rank]), float(value)))
    return found
