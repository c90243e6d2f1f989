"""Verdicts on matches, at a stated rate of false matches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from indexing.similarity import Similarity, decimal
from models.search import METRICS, Metric

Verdict = Literal["copy", "unsure", "not in the index", "no threshold"]

NEAREST = 2
"""Background images whose mean similarity is subtracted from a score."""

MANY_UNLIKE = 0.05
"""Share of images unlike the background set above which a warning is given."""

UNSURE = 10
"""A match is unsure up to this multiple of the rate of false matches."""


@dataclass(frozen=True)
class Normalizer:
    """Score normalization by a background set (SSCD, arXiv 2202.10261; ISC 2021, 2202.04007).

    A query that resembles many images gets lower scores: its mean similarity to the two nearest
    background images is subtracted.

    Attributes:
        background: (M, D) descriptors of images that are not in the index.
        metric: Metric of the index.
        similarity: Similarity of the index.
    """

    background: NDArray[np.float32]
    metric: Metric
    similarity: Similarity

    def __call__(self, queries: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the mean similarity of each query to its nearest background images, (N,)."""
        nearest = min(NEAREST, len(self.background))
        found = faiss.knn(queries, self.background, nearest, METRICS[self.metric])
        mean: NDArray[np.float64] = self.similarity(*found).mean(axis=1)
        return mean


@dataclass(frozen=True)
class Judge:
    """Verdicts by score.

    A stranger, an image of the kind that the thresholds are from but not in the index, is called a
    copy with a probability of at most ``max_fpr``.
    A copy can be called anything: how often depends on its edits.

    Attributes:
        max_fpr: The stated rate.
        copy: Scores above are copies; None if there are too few strangers for the rate.
        unsure: Scores above are unsure.
        normalizer: Score normalization; None without.
        calibration: What the thresholds are from, in words.
        least_alike: Similarity to the background set that 1 % of the strangers fall below; None
            without normalizer.
    """

    max_fpr: float = 0.01
    copy: float | None = None
    unsure: float | None = None
    normalizer: Normalizer | None = None
    calibration: str = ""
    least_alike: float | None = None

    def verdict(self, score: float) -> Verdict:
        """Judge a match by its score; NaN if there is no match."""
        if self.copy is None or self.unsure is None:
            return "no threshold"
        if score > self.copy:
            return "copy"
        return "unsure" if score > self.unsure else "not in the index"

    def scores(
        self, similarities: NDArray[np.float64], queries: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Normalize similarities (N, k) to the scores that are judged, for queries (N, D)."""
        if self.normalizer is None or not len(queries):
            return similarities
        return similarities - self.normalizer(queries)[:, None]

    def unlike(self, queries: NDArray[np.float32]) -> int:
        """Count the queries (N, D) that are unlike the background set, as 1 % of strangers are."""
        if self.normalizer is None or self.least_alike is None or not len(queries):
            return 0
        return int((self.normalizer(queries) < self.least_alike).sum())

    def words(self) -> str:
        """Describe the thresholds in a sentence or two."""
        if self.copy is None or self.unsure is None:
            return (
                f"No threshold for a rate of false matches of {self.max_fpr:g}. {self.calibration}"
            )
        return (
            f"Scores above {decimal(self.copy, 3):.3f} are copies, at a rate of false matches of "
            f"at most {self.max_fpr:g}; scores above {decimal(self.unsure, 3):.3f} are unsure. "
            f"{self.calibration}"
        )


NO_VERDICTS = Judge(calibration="The index was not calibrated on strangers.")
"""Judge without thresholds."""


def check_rate(max_fpr: float) -> None:
    """Refuse a rate that is none.

    Raises:
        ValueError: If it is not between 0 and 1.
    """
    if not 0 < max_fpr < 1:
        msg = f"max_fpr must be above 0 and below 1, such as 0.01; got {max_fpr}"
        raise ValueError(msg)


def unlike_words(unlike: int, images: int) -> str:
    """Warn of images that the stated rate is not for; empty if there are too few of them."""
    if unlike <= images * MANY_UNLIKE:
        return ""
    return (
        f"{unlike} of {images} images are unlike the background set; the rate of false matches is "
        "not stated for such images: build with a background set of their kind"
    )
