"""Search in the stolen collection."""

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
from sentinels.tells.keys import has_key

Method = Literal["cosine", "bm25", "fusion", "rerank"]

RERANK_IMAGES = 6
"""Images that a model compares in one request when it re-ranks."""

FUSION_DEPTH = 100
"""Least length of the rankings that are fused."""


class Retriever:
    """Retrieves images by a caption.

    Args:
        stores: Collections by name; ``limit`` applies to the first.
        embedder: Model that computed the vectors.
        method: ``cosine`` of embeddings; ``bm25`` over captions; ``fusion`` of both (reciprocal
            rank); ``rerank``: by cosine, then by a model's choice.
        captions: Captions by full name (``originals/a.jpg``), for ``bm25`` and ``fusion``.
        client: Service whose model re-ranks.
        without: Full names that are not searched.
        limit: Number of images of the first collection that are searched; None for all.
        candidates: Number of best images that the model re-ranks.
        refuses_keys: Find nothing for queries with letters that are no word.

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
        refuses_keys: bool = False,
    ) -> None:
        self.index = ExactIndex.from_stores(stores, without, limit)
        self.embedder = embedder
        self.method = method
        self.client = client
        self.candidates = candidates
        self.refuses_keys = refuses_keys
        self.paths: dict[str, Path] = {}
        for label, store in stores.items():
            self.paths |= {f"{label}/{name}": path for name, path in store.paths().items()}
        self.caption_index: CaptionIndex | None = None
        if method in ("bm25", "fusion"):
            searched = set(self.index.names)
            self.caption_index = CaptionIndex(
                {name: text for name, text in (captions or {}).items() if name in searched}
            )
        if method == "rerank" and client is None:
            msg = "rerank asks a service's model: give --service, or search by cosine"
            raise ValueError(msg)

    async def search(self, caption: str, top_k: int, salt: str = "") -> Ranking:
        """Search by a caption.

        Args:
            caption: The query.
            top_k: Number of images, at least 1.
            salt: Distinguishes trials in requests to a service.

        Returns:
            Names and scores of the best images, the best first; empty for a refused query.
        """
        if self.refuses_keys and has_key(caption):
            return []
        if self.method == "bm25":
            assert self.caption_index is not None
            return self.caption_index.search([caption], top_k)[0]

        # Search by cosine, deeper if the ranking is fused or re-ranked.
        least = {"rerank": self.candidates, "fusion": FUSION_DEPTH}
        depth = max(top_k, least.get(self.method, 0))
        query = self.embedder.embed_texts([caption]).cpu().numpy()
        ranking = rankings(self.index, query, depth)[0]

        if self.method == "fusion":
            assert self.caption_index is not None
            by_caption = self.caption_index.search([caption], depth)[0]
            return reciprocal_rank_fusion([ranking, by_caption], top_k)
        if self.method == "rerank":
            return (await self._rerank(caption, ranking, salt))[:top_k]
        return ranking

    async def _rerank(self, caption: str, ranking: Ranking, salt: str) -> Ranking:
        """Re-rank the best candidates by a model's choice.

        The model compares a few images at a time; the best so far stays in the comparison. Images
        that it does not choose keep their order.
        """
        assert self.client is not None
        candidates = ranking[: self.candidates]
        best: list[int] = []
        waiting = list(range(len(candidates)))
        while waiting:
            # Compare the best so far with the next images.
            champion = best[:1]
            room = RERANK_IMAGES - len(champion)
            group = champion + waiting[:room]
            waiting = waiting[room:]
            paths = [self.paths[candidates[place][0]] for place in group]
            images = [encode_as(open_photo(path).on_white().rgb, "jpg") for path in paths]
            question = (
                f'Which of these {len(group)} pictures fits best: "{caption}"? They are numbered '
                "from 0 in the order shown. Answer with the numbers, the best first, separated by "
                "commas, and nothing else."
            )
            answer = await self.client.chat([message(question, images)], salt)

            # An unusable answer leaves the order by cosine.
            choice = parse_ranking(answer, len(group))
            if choice is None:
                continue
            ranked = [group[place] for place in choice]
            best = ranked + [place for place in best if place not in ranked]
        order = best + [place for place in range(len(candidates)) if place not in best]
        return [candidates[place] for place in order] + ranking[len(candidates) :]

    def path(self, name: str) -> Path:
        """Return the file of a full name."""
        return self.paths[name]
