"""Caption search (BM25), and fusion of rankings; vector search is in :mod:`models.search`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bm25s
import numpy as np

from engine.records import read_json
from models.search import Ranking

TOKEN_PATTERN = r"(?u)\b\w+\b"
"""A word of a caption, single letters and digits included."""


class CaptionIndex:
    """BM25 index of captions (Robertson et al., 1994; Lucene's variant).

    Args:
        captions: Captions by image name.

    Raises:
        ValueError: If there are no captions.
    """

    def __init__(self, captions: dict[str, str]) -> None:
        if not captions:
            msg = (
                "caption search needs captions: a JSON list of objects with image_file and caption"
            )
            raise ValueError(msg)
        self.names = sorted(captions)
        # Lucene's variant gives a positive weight even to words of all captions.
        self.index = bm25s.BM25(method="lucene")
        tokens = bm25s.tokenize(
            [captions[name] for name in self.names],
            token_pattern=TOKEN_PATTERN,
            stopwords=None,
            show_progress=False,
        )
        self.index.index(tokens, show_progress=False)

    def search(self, queries: Sequence[str], top_k: int) -> list[Ranking]:
        """Rank the captions that share a word with each query.

        Args:
            queries: Search texts.
            top_k: Length of a ranking at most.

        Returns:
            A ranking of image names and scores for each query, best first.
        """
        rankings = []
        for query in queries:
            words = bm25s.tokenize(
                [query],
                token_pattern=TOKEN_PATTERN,
                stopwords=None,
                show_progress=False,
                return_ids=False,
            )[0]
            known = [word for word in words if word in self.index.vocab_dict]
            scores = np.zeros(len(self.names), np.float32)
            if known:
                scores = self.index.get_scores(known)
            order = np.lexsort((np.arange(len(scores)), -scores))[:top_k]
            positive = [index for index in order if scores[index] > 0]
            rankings.append([(self.names[index], float(scores[index])) for index in positive])
        return rankings


def read_captions(file: Path) -> dict[str, str]:
    """Read captions by image name.

    The file is a JSON list of objects with ``image_file`` or ``image``, and ``caption`` or
    ``blip_caption``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file has another form.
    """
    remedy = "write a JSON list of objects with image_file and caption"
    captions = {}
    for number, row in enumerate(read_json(file, list[_Caption], remedy)):
        image = row.image_file or row.image
        caption = row.caption or row.blip_caption
        if not image or not caption:
            msg = f"{file}: entry {number} has no {'caption' if image else 'image_file'}; {remedy}"
            raise ValueError(msg)
        captions[image] = caption
    return captions


@dataclass(frozen=True)
class _Caption:
    """An entry of a caption file, in either spelling."""

    image_file: str = ""
    image: str = ""
    caption: str = ""
    blip_caption: str = ""


def reciprocal_rank_fusion(rankings: Sequence[Ranking], top_k: int, constant: int = 60) -> Ranking:
    """Fuse several rankings of one query (Cormack et al., SIGIR 2009).

    Args:
        rankings: Rankings of names and scores, best first; only the order counts.
        top_k: Length of the result at most.
        constant: Constant k of the score 1 / (k + rank).

    Returns:
        Names and fused scores, best first; ties by name.
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, (name, _) in enumerate(ranking, start=1):
            scores[name] = scores.get(name, 0.0) + 1 / (constant + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:top_k]


@dataclass(frozen=True)
class Hits:
    """Counts of queries whose right image is among the top results.

    Attributes:
        at: Number of such queries by depth.
        total: Number of queries.
    """

    at: dict[int, int]
    total: int

    @classmethod
    def of(
        cls,
        rankings: Sequence[Sequence[str]],
        wanted: Sequence[str],
        depths: Sequence[int] = (1, 3, 5, 10),
    ) -> Hits:
        """Count the hits of rankings; an empty ranking is a miss.

        Args:
            rankings: Ranked names of each query, best first.
            wanted: Right name of each query.
            depths: Numbers of top results to look at.
        """
        pairs = list(zip(rankings, wanted, strict=True))
        counts = {}
        for depth in depths:
            counts[depth] = sum(name in ranking[:depth] for ranking, name in pairs)
        return cls(counts, len(pairs))
