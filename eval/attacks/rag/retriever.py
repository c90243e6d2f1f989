"""Searching the stolen collection."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from images.io import encode_as, open_photo
from models.embedders import Embedder
from models.search import ExactIndex, Ranking, rankings
from models.store import VectorStore
from sentinels.answers import parse_ranking
from sentinels.client import Client
from sentinels.messages import message
from sentinels.retrieve import CaptionIndex, reciprocal_rank_fusion

Method = Literal["cosine", "bm25", "fusion", "rerank"]

GROUP = 6
"""Pictures that a model is shown at a time when it re-ranks."""


class Retriever:
    """Finds pictures by a caption.

    Args:
        stores: Collections by name; the first is the one whose size is limited.
        embedder: Of their vectors.
        method: By cosine, by words of captions, by both (reciprocal ranks), or by cosine and then by a model's choice.
        captions: By full name (``originals/a.jpg``), for ``bm25`` and ``fusion``.
        client: The service whose model re-ranks.
        without: Full names that are not searched.
        limit: Only the first so many pictures of the first collection are searched.
        candidates: How many of the best a model is shown for re-ranking.

    Raises:
        ValueError: If the method lacks captions or a service.
    """

    def __init__(
        self,
        stores: Mapping[str, VectorStore],
        embedder: Embedder,
        method: Method = "cosine",
        captions: Mapping[str, str] | None = None,
        client: Client | None = None,
        without: frozenset[str] = frozenset(),
        limit: int | None = None,
        candidates: int = 12,
    ) -> None:
        self.index, self.embedder, self.method = (
            ExactIndex.from_stores(stores, without, limit),
            embedder,
            method,
        )
        self.client, self.candidates = client, candidates
        self.paths = {
            f"{label}/{name}": path
            for label, store in stores.items()
            for name, path in store.paths().items()
        }
        self.words: CaptionIndex | None = None
        if method in ("bm25", "fusion"):
            self.words = CaptionIndex(
                {
                    name: text
                    for name, text in (captions or {}).items()
                    if name in set(self.index.names)
                }
            )
        if method == "rerank" and client is None:
            msg = "rerank asks a service's model: give --service, or search by cosine"
            raise ValueError(msg)

    async def search(self, caption: str, top_k: int, salt: str = "") -> Ranking:
        """The best ``top_k`` pictures and their scores."""
        if self.method == "bm25":
            assert self.words is not None
            return self.words.search([caption], top_k)[0]
        depth = (
            max(top_k, self.candidates)
            if self.method == "rerank"
            else max(top_k, 100)
            if self.method == "fusion"
            else top_k
        )
        near = rankings(self.index, self.embedder.embed_texts([caption]).cpu().numpy(), depth)[0]
        if self.method == "fusion":
            assert self.words is not None
            return reciprocal_rank_fusion([near, self.words.search([caption], depth)[0]], top_k)
        return (
            (await self._reranked(caption, near, salt))[:top_k] if self.method == "rerank" else near
        )

    async def _reranked(self, caption: str, near: Ranking, salt: str) -> Ranking:
        """The model's choice first, found by shows of a few pictures each that the best so far goes through; then the others."""
        assert self.client is not None
        shown, best = near[: self.candidates], list[int]()
        waiting = list(range(len(shown)))
        while waiting:
            group = best[:1] + waiting[: GROUP - len(best[:1])]
            waiting = waiting[GROUP - len(best[:1]) :]
            pictures = [
                encode_as(open_photo(self.paths[shown[place][0]]).rgb, "jpg") for place in group
            ]
            question = (
                f'Which of these {len(group)} pictures fits best: "{caption}"? They are numbered from 0 in the order shown. '
                "Answer with the numbers, the best first, separated by commas, and nothing else."
            )
            picked = parse_ranking(
                await self.client.chat([message(question, pictures)], salt), len(group)
            )
            if picked is None:
                continue  # an answer that is none leaves the order by cosine
            ranked = [group[place] for place in picked]
            best = ranked + [place for place in best if place not in ranked]
        order = best + [place for place in range(len(shown)) if place not in best]
        return [shown[place] for place in order] + near[len(shown) :]

    def path(self, name: str) -> Path:
        """The file of a full name."""
        return self.paths[name]
