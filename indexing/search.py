"""The ``search`` job: copies of query images in an index."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from checkpoints.folders import project_path
from indexing.index import Index
from indexing.index_facts import FACTS
from indexing.matches import Match, match_queries
from indexing.similarity import UNIT_ROWS, Similarity, similarity_kind
from indexing.verdicts import NO_VERDICTS, Judge, check_rate
from models.search import ExactIndex, Searchable
from models.store import VectorStore
from models.store_files import MATRIX


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
    folder = project_path(folder)
    if not (folder / FACTS).is_file() and (folder / MATRIX).is_file():
        store = VectorStore.open(folder, verify)
        return ExactIndex([(store.names, store.matrix)], "l2", store.embedder)
    return Index.open(folder, mapped, verify)


def extractor_record(index: Searchable) -> Mapping[str, Any]:
    """Return the record of an index's extractor; empty if there is none."""
    if isinstance(index, Index):
        return index.facts.get("extractor") or {}
    return index.embedder if isinstance(index, ExactIndex) else {}


def search(
    index: Searchable,
    queries: VectorStore,
    k: int = 10,
    parameters: str = "",
    max_fpr: float = 0.01,
    beta: float = 0.0,
    threshold: float | None = None,
    batch: int = 4096,
) -> tuple[list[Match], Judge]:
    """Search the neighbors of every query, and judge them.

    Args:
        index: Index to search.
        queries: Descriptors of the queries.
        k: Neighbors per query.
        parameters: faiss's search parameters, such as ``nprobe=16``; those that the index was
            calibrated with if empty.
        max_fpr: Share of images outside the index that may be called copies.
        beta: Weight of the next neighbor in the score; see :func:`indexing.matches.lead`.
        threshold: Drop matches with lower scores; None keeps all.
        batch: Queries per batch.

    Returns:
        Matches, of the surest query first, then by rank, and the judge. A query without any has one
        row with rank 0 and no match.

    Raises:
        ValueError: If the queries are of another extractor, the rate is not between 0 and 1, or the
            index has no such parameter.
    """
    check_rate(max_fpr)
    index.check(queries.fingerprint, queries.dimension, "these queries")
    sample = queries.rows(0, UNIT_ROWS)
    if isinstance(index, Index):
        judge = index.judge(max_fpr, parameters)
        parameters = parameters or index.default_parameters
        similarity = index.similarity(sample)
    else:
        judge = NO_VERDICTS
        similarity = Similarity(similarity_kind(index.metric, sample))
    by_query: list[list[Match]] = []
    for start in range(0, len(queries), batch):
        names = queries.names[start : start + batch]
        rows = queries.rows(start, start + batch)
        found = match_queries(index, names, rows, similarity, k, parameters, beta, threshold, judge)
        for name, matches in zip(names, found, strict=True):
            by_query.append(matches or [no_match(name, judge)])
    by_query.sort(key=lambda matches: -matches[0].score if matches[0].rank else math.inf)
    return [match for matches in by_query for match in matches], judge


def no_match(query: str, judge: Judge) -> Match:
    """Return the row of a query without a match."""
    return Match(query, 0, "", math.nan, math.nan, math.nan, judge.verdict(math.nan))
