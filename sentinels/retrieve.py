"""Searching a collection by the words of captions, and joining rankings; by vectors see :mod:`models.search`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bm25s
import numpy as np

from engine.records import read_json
from models.search import Ranking

WORD = r"(?u)\b\w+\b"
"""A word of captions; single letters and digits are words, too."""


class CaptionIndex:
    """BM25 (Robertson et al., 1994; Lucene's variant) over captions.

    Args:
        captions: By picture's name.

    Raises:
        ValueError: If there are none.
    """

    def __init__(self, captions: dict[str, str]) -> None:
        if not captions:
            msg = (
                "search by words needs captions: a JSON list of objects with image_file and caption"
            )
            raise ValueError(msg)
        self.names = sorted(captions)
        self.index = bm25s.BM25(
            method="lucene"
        )  # a word that all captions have still counts a little
        tokens = bm25s.tokenize(
            [captions[name] for name in self.names],
            token_pattern=WORD,
            stopwords=None,
            show_progress=False,
        )
        self.index.index(tokens, show_progress=False)

    def search(self, queries: Sequence[str], top_k: int) -> list[Ranking]:
        """The ``top_k`` best captions of each query; only such as share a word with it."""
        found = []
        for query in queries:
            words = bm25s.tokenize(
                [query], token_pattern=WORD, stopwords=None, show_progress=False, return_ids=False
            )[0]
            known = [word for word in words if word in self.index.vocab_dict]
            scores = (
                self.index.get_scores(known) if known else np.zeros(len(self.names), np.float32)
            )
            order = np.lexsort((np.arange(len(scores)), -scores))[:top_k]
            found.append(
                [(self.names[place], float(scores[place])) for place in order if scores[place] > 0]
            )
        return found


def read_captions(file: Path) -> dict[str, str]:
    """Captions by image: a JSON list of objects with ``image_file`` or ``image``, and ``caption`` or ``blip_caption``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none.
    """
    remedy = "write a JSON list of objects with image_file and caption"
    captions = {}
    for number, row in enumerate(read_json(file, list[_Caption], remedy)):
        image, caption = row.image_file or row.image, row.caption or row.blip_caption
        if not image or not caption:
            msg = f"{file}: entry {number} has no {'caption' if image else 'image_file'}; {remedy}"
            raise ValueError(msg)
        captions[image] = caption
    return captions


@dataclass(frozen=True)
class _Caption:
    """An entry of a list of captions, in either spelling."""

    image_file: str = ""
    image: str = ""
    caption: str = ""
    blip_caption: str = ""


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
    def of(
        cls,
        rankings: Sequence[Sequence[str]],
        wanted: Sequence[str],
        depths: Sequence[int] = (1, 3, 5, 10),
    ) -> Hits:
        """Count exact names; an empty ranking (nothing was looked for) is a miss."""
        pairs = list(zip(rankings, wanted, strict=True))
        return cls(
            {depth: sum(name in ranking[:depth] for ranking, name in pairs) for depth in depths},
            len(pairs),
        )
