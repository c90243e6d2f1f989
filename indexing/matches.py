"""Matches of queries in an index: similarities, scores and verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from indexing.similarity import Similarity, decimal
from indexing.verdicts import NO_VERDICTS, Judge, Verdict
from models.search import Metric, Searchable


@dataclass(frozen=True)
class Match:
    """One neighbor of a query, a row of the table.

    Attributes:
        query: Name of the query.
        rank: Rank of the neighbor, from 1.
        match: Name of the neighbor.
        distance: As faiss computes it: squared L2 distance, inner product, or different bits.
        similarity: Similarity, larger for nearer neighbors; see
            :class:`indexing.similarity.Similarity`.
        score: What verdicts are based on: the similarity, less that to background images or to the
            next neighbor.
        verdict: ``copy``, ``unsure`` or ``not in the index``, at the stated rate of false matches;
            ``no threshold`` if the index has none for this rate.
    """

    query: str
    rank: int
    match: str
    distance: float
    similarity: float
    score: float
    verdict: Verdict = "no threshold"


COLUMNS = [field.name for field in fields(Match)]


def scores(
    distances: NDArray[np.floating],
    ids: NDArray[np.int64],
    beta: float = 0.0,
    metric: Metric = "l2",
) -> NDArray[np.float64]:
    """Compute the copy detection scores of the paper's programs.

    The score is ``-d_j + beta * d_(j+1)`` for distances and ``d_j - beta * d_(j+1)`` for inner
    products; see :func:`lead`.

    Args:
        distances: (N, k), as returned by a search.
        ids: (N, k); -1 where no neighbor was found.
        beta: Weight of the next neighbor; the paper's programs use 1, and 0 gives plain distances.
        metric: Metric of the index.

    Returns:
        (N, k); NaN where there is no score.
    """
    sign = -1.0 if metric == "l2" else 1.0
    return lead(np.where(ids >= 0, sign * distances.astype(np.float64), np.nan), beta)


def lead(similarity: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """Subtract ``beta`` times the next neighbor's similarity.

    Queries that are near to everything thus get lower scores.
    The last neighbor has no next one; its score is NaN unless ``beta`` is 0.

    Args:
        similarity: (N, k), larger for nearer neighbors.
        beta: Weight of the next neighbor.
    """
    if beta == 0:
        return similarity
    no_next = np.full((len(similarity), 1), np.nan)
    next_similarity = np.concatenate([similarity[:, 1:], no_next], axis=1)
    return similarity - beta * next_similarity


def match_queries(
    index: Searchable,
    names: Sequence[str],
    queries: NDArray[np.float32],
    similarity: Similarity,
    k: int = 10,
    parameters: str = "",
    beta: float = 0.0,
    threshold: float | None = None,
    judge: Judge = NO_VERDICTS,
) -> list[list[Match]]:
    """Search the neighbors of each query.

    Args:
        index: Index to search.
        names: Names of the N queries.
        queries: Descriptors, (N, D).
        similarity: Conversion of the index's distances.
        k: Neighbors per query.
        parameters: faiss's search parameters, such as ``nprobe=16``.
        beta: Weight of the next neighbor in the score; see :func:`lead`. Other weights than 0 have
            no thresholds.
        threshold: Drop matches with lower scores; None keeps all.
        judge: Judge of the scores.

    Returns:
        Matches of each query, by rank.

    Raises:
        ValueError: If the index has no such parameter, or ``k`` is below 1.
    """
    # similarities and scores
    neighbors = k + (beta != 0)  # the score of the last one needs a next one
    distances, ids = index.search(queries, neighbors, parameters)
    similarities = similarity(distances, ids)
    ranked_scores = lead(similarities, beta)[:, :k]
    if beta:
        judge = NO_VERDICTS
    ranked_scores = judge.scores(ranked_scores, queries)
    # matches at or above the threshold
    found: list[list[Match]] = []
    for row, query in enumerate(names):
        matches = []
        for column, score in enumerate(ranked_scores[row].tolist()):
            if np.isfinite(score) and (threshold is None or score >= threshold):
                matches.append(
                    Match(
                        query,
                        column + 1,
                        index.names[ids[row, column]],
                        float(distances[row, column]) + 0.0,
                        decimal(similarities[row, column]),
                        decimal(score),
                        judge.verdict(score),
                    )
                )
        found.append(matches)
    return found
