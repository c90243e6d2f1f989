"""The ``search`` job: copies of query images in an index."""

from __future__ import annotations

from pathlib import Path

from checkpoints.folders import project_path
from indexing.index import Index
from indexing.index_facts import FACTS
from indexing.matches import Match, match_queries
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
    matches: list[Match] = []
    for start in range(0, len(queries), batch):
        names = queries.names[start : start + batch]
        rows = queries.rows(start, start + batch)
        for found in match_queries(index, names, rows, k, parameters, beta, threshold):
            matches += found
    return matches
