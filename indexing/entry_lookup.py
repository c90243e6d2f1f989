"""Search for entries that an index does not hold yet."""

from __future__ import annotations

from typing import Any

import faiss

from indexing.empty_copy import EmptyCopy, Vectors
from indexing.index import Index
from models.search import faiss_errors

TOLERANCE = 1e-5
"""Relative difference of distances below which two entries are level."""


class EntryLookup:
    """Search of an index as if an image had been added to it.

    Args:
        filled: The index with its entries.
        trained: The same index without entries.
    """

    def __init__(self, filled: Index, trained: Any) -> None:
        self.filled = filled
        self.alone = EmptyCopy(trained)
        self._copy_nprobe()

    def _copy_nprobe(self) -> None:
        """Give the empty copy the index's number of probed cells."""
        probed: Any = faiss.try_extract_index_ivf(self.filled.parts[0])
        if probed is not None and self.alone.ivf is not None:
            self.alone.ivf.nprobe = probed.nprobe

    def finds(self, entries: Vectors, queries: Vectors) -> list[bool]:
        """Tell which queries would find their entry first, or level with the first.

        The search is that of the index as it is saved, ``nprobe`` included.

        Args:
            entries: Descriptors of the images that are added, (N, D).
            queries: Descriptors of the images that are searched, (N, D).
        """
        others, _ = self.filled.search(queries, 1) if len(self.filled) else (None, None)
        found = []
        for row in range(len(queries)):
            own, id_ = self._own(entries[row : row + 1], queries[row : row + 1])
            nearest = own if others is None else float(others[row, 0])
            found.append(id_ >= 0 and self._as_near(own, nearest))
        return found

    def _own(self, entry: Vectors, query: Vectors) -> tuple[float, int]:
        """Return a query's distance to its entry, and an id of -1 if its cell is not probed."""
        with faiss_errors(f"the index {self.filled.facts.get('factory', '')} cannot be searched"):
            distances, ids = self.alone.search(entry, query)
        return float(distances[0, 0]), int(ids[0, 0])

    def _as_near(self, own: float, other: float) -> bool:
        """Return True if no other entry is nearer; also if no other was found."""
        slack = TOLERANCE * abs(own)
        if self.filled.metric == "ip":
            return own >= other - slack
        return own <= other + slack
