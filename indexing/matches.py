"""Matches of queries in an index, and their copy detection scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from models.search import Metric, Searchable


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


def match_queries(
    index: Searchable,
    names: Sequence[str],
    queries: NDArray[np.float32],
    k: int = 10,
    parameters: str = "",
    beta: float = 0.0,
    threshold: float | None = None,
) -> list[list[Match]]:
    """Search the neighbors of each query.

    Args:
        index: Index to search.
        names: Names of the N queries.
        queries: Descriptors, (N, D).
        k: Neighbors per query.
        parameters: faiss's search parameters, such as ``nprobe=16``.
        beta: Weight of the next neighbor in the score; see :func:`scores`.
        threshold: Drop matches with lower scores; None keeps all.

    Returns:
        Matches of each query, by rank.

    Raises:
        ValueError: If the index has no such parameter, or ``k`` is below 1.
    """
    neighbors = k + (beta != 0)  # the score of the last one needs a next one
    distances, ids = index.search(queries, neighbors, parameters)
    ranked_scores = scores(distances, ids, beta, index.metric)[:, :k]
    found: list[list[Match]] = []
    for row, query in enumerate(names):
        # matches at or above the threshold
        matches = []
        for column, score in enumerate(ranked_scores[row]):
            if np.isfinite(score) and (threshold is None or score >= threshold):
                name = index.names[ids[row, column]]
                distance = float(distances[row, column])
                matches.append(Match(query, column + 1, name, distance, float(score)))
        found.append(matches)
    return found
