"""Similarities of neighbors, larger for nearer ones, from faiss's distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from models.search import Metric

Kind = Literal["cosine", "inner product", "equal bits", "inverse distance"]

UNIT_TOLERANCE = 1e-3

UNIT_ROWS = 4096
"""Descriptors whose lengths are looked at."""


@dataclass(frozen=True)
class Similarity:
    """Conversion from distances to similarities.

    Attributes:
        kind: ``cosine`` of descriptors of unit length; ``inner product``; ``equal bits``, the share
            of equal bits of two codes; ``inverse distance``, 1 / (1 + squared L2 distance).
        bits: Length of a code, for ``equal bits``.
    """

    kind: Kind
    bits: int = 0

    def __call__(
        self, distances: NDArray[np.floating], ids: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Convert the distances of a search, (N, k).

        Args:
            distances: Squared L2 distances, inner products, or numbers of different bits.
            ids: Ids of the neighbors; -1 where no neighbor was found.

        Returns:
            (N, k); NaN where no neighbor was found.
        """
        values = np.where(ids >= 0, distances, np.nan).astype(np.float64)
        if self.kind == "inner product":
            return values
        values = np.maximum(values, 0.0)  # codes round some distances below 0
        if self.kind == "cosine":
            return 1 - values / 2
        if self.kind == "equal bits":
            return 1 - values / self.bits
        return 1 / (1 + values)


def similarity_kind(metric: Metric, descriptors: NDArray[np.floating]) -> Kind:
    """Return the kind of similarity of descriptors, (N, D), in an index without bit codes."""
    if metric == "ip":
        return "inner product"
    lengths = np.linalg.norm(np.asarray(descriptors, dtype=np.float64), axis=1)
    is_unit = abs(float(np.median(lengths)) - 1) < UNIT_TOLERANCE if len(lengths) else False
    return "cosine" if is_unit else "inverse distance"


def code_bits(index: Any) -> int:
    """Return the bits of a faiss index's codes if it compares bits (LSH), else 0."""
    index = faiss.downcast_index(index)
    while isinstance(index, faiss.IndexPreTransform):
        index = faiss.downcast_index(index.index)
    return int(index.nbits) if isinstance(index, faiss.IndexLSH) else 0


def decimal(value: float, places: int = 6) -> float:
    """Round a number for people; 0 has no sign."""
    return round(value, places) + 0.0
