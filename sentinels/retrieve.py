"""Searching a collection: by cosine, by the words of captions, and by both together.

Letters: Q = queries, N = pictures, D = length of a vector.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import bm25s
import numpy as np
from numpy.typing import NDArray

from sentinels.store import Store

BLOCK = 65536
"""Rows multiplied at a time."""

WORD = r"(?u)\b\w+\b"
"""A word of captions; single letters and digits are words, too."""

Ranking = list[tuple[str, float]]
"""Names and scores, best first; equal scores in the collection's order."""


class CosineIndex:
    """All vectors of one or more stores, searched exactly.

    Args:
        parts: Names and vectors (n, D); rows without a name are passed over.
    """

    def __init__(self, parts: Sequence[tuple[Sequence[str], NDArray[np.float32]]]) -> None:
        self.names = sorted({name for part, _ in parts for name in part if name})
        order = {name: place for place, name in enumerate(self.names)}
        self.parts = [(np.array([order.get(name, -1) for name in part]), matrix) for part, matrix in parts]

    @classmethod
    def of(cls, stores: Mapping[str, Store], without: frozenset[str] = frozenset(), limit: int | None = None) -> CosineIndex:
        """The index of some collections; names begin with the collection's: ``originals/a.jpg``.

        Args:
            stores: By the collection's name.
            without: Names that are left out.
            limit: Only the first so many pictures of the first collection are searched; None for all.
        """
        searched: set[str] = set()
        for place, (label, store) in enumerate(stores.items()):
            names = sorted(name for row in store.rows if (name := f"{label}/{row}") not in without)
            searched |= set(names[:limit] if place == 0 else names)
        parts = []
        for label, store in stores.items():
            for names, matrix in store.vectors():
                full = [f"{label}/{name}" if name else "" for name in names]
                parts.append(([name if name in searched else "" for name in full], matrix))
        return cls(parts)

    def search(self, queries: NDArray[np.float32], top_k: int) -> list[Ranking]:
        """The ``top_k`` nearest pictures of each of (Q, D) unit vectors.

        Raises:
            ValueError: If ``top_k`` is below 1.
        """
        if top_k < 1:
            msg = f"top_k must be at least 1, got {top_k}"
            raise ValueError(msg)
        best = [(np.empty(0, np.float32), np.empty(0, np.int64)) for _ in queries]
        for order, matrix in self.parts:
            for start in range(0, len(matrix), BLOCK):
                places = order[start : start + BLOCK]
                scores = np.asarray(queries, np.float32) @ matrix[start : start + BLOCK].T
                live = None if (places >= 0).all() else places >= 0
                for query, row in enumerate(scores):
                    kept, own = (row, places) if live is None else (row[live], places[live])
                    best[query] = _best(*best[query], kept, own, top_k)
        return [[(self.names[place], float(score)) for score, place in zip(*found, strict=True)] for found in best]


def _best(
    scores: NDArray[np.float32], places: NDArray[np.int64], more: NDArray[np.float32], where: NDArray[np.int64], top_k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The best of those so far and of more, sorted by score and then by place."""
    if len(more) > top_k:
        edge = np.partition(more, len(more) - top_k)[len(more) - top_k]
        if len(scores) == top_k:
            edge = max(edge, scores[-1])
        near = more >= edge  # all ties at the edge, too
        more, where = more[near], where[near]
    scores, places = np.concatenate([scores, more]), np.concatenate([places, where])
    order = np.lexsort((places, -scores))[:top_k]
    return scores[order], places[order]


class CaptionIndex:
    """BM25 (Robertson et al., 1994; Lucene's variant) over captions.

    Args:
        captions: By picture's name.

    Raises:
        ValueError: If there are none.
    """

    def __init__(self, captions: dict[str, str]) -> None:
        if not captions:
            msg = "search by words needs captions: a JSON list of objects with image_file and caption"
            raise ValueError(msg)
        self.names = sorted(captions)
        self.index = bm25s.BM25(method="lucene")  # a word that all captions have still counts a little
        tokens = bm25s.tokenize([captions[name] for name in self.names], token_pattern=WORD, stopwords=None, show_progress=False)
        self.index.index(tokens, show_progress=False)

    def search(self, queries: Sequence[str], top_k: int) -> list[Ranking]:
        """The ``top_k`` best captions of each query; only such as share a word with it."""
        found = []
        for query in queries:
            words = bm25s.tokenize([query], token_pattern=WORD, stopwords=None, show_progress=False, return_ids=False)[0]
            known = [word for word in words if word in self.index.vocab_dict]
            scores = self.index.get_scores(known) if known else np.zeros(len(self.names), np.float32)
            order = np.lexsort((np.arange(len(scores)), -scores))[:top_k]
            found.append([(self.names[place], float(scores[place])) for place in order if scores[place] > 0])
        return found


def read_captions(file: Path) -> dict[str, str]:
    """Captions by picture: a JSON list of objects with ``image_file`` or ``image``, and ``caption`` or ``blip_caption``.

    Raises:
        ValueError: If it is none.
    """
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        return {row.get("image_file") or row["image"]: row.get("caption") or row["blip_caption"] for row in rows}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        msg = f"{file}: expected a JSON list of objects with image_file and caption ({error!r})"
        raise ValueError(msg) from error


def fused(rankings: Sequence[Ranking], top_k: int, constant: int = 60) -> Ranking:
    """Reciprocal rank fusion (Cormack et al., SIGIR 2009) of several rankings of one query."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for place, (name, _) in enumerate(ranking):
            scores[name] = scores.get(name, 0.0) + 1 / (constant + place + 1)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:top_k]


@dataclass(frozen=True)
class Hits:
    """How often the right picture was among the first."""

    at: dict[int, int]
    total: int

    @classmethod
    def of(cls, rankings: Sequence[Sequence[str]], wanted: Sequence[str], depths: Sequence[int] = (1, 3, 5, 10)) -> Hits:
        """Count exact names; an empty ranking (nothing was looked for) is a miss."""
        pairs = list(zip(rankings, wanted, strict=True))
        return cls({depth: sum(name in ranking[:depth] for ranking, name in pairs) for depth in depths}, len(pairs))
