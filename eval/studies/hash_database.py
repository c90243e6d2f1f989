"""PDQ hashes of an index's entries, as a baseline of the copy-detection study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from engine.progress import progress
from images.io import open_photo
from images.kinds import UnreadableImage
from images.pdq import pdq
from images.transforms import RGBImage
from indexing.index import Index

PDQ = "pdq."
"""Prefix of the kinds of edits whose copies are looked up by hash."""


@dataclass(frozen=True)
class HashDatabase:
    """Hashes of entries.

    Attributes:
        codes: (N, 32) uint8, 256 bits each.
        ids: (N,) ids of the entries in the index.
        missing: Number of entries whose image cannot be read at its place.
    """

    codes: NDArray[np.uint8]
    ids: NDArray[np.int64]
    missing: int

    @classmethod
    def of_entries(cls, index: Index) -> HashDatabase:
        """Hash the images of all entries, by their names.

        Raises:
            ValueError: If no image can be read.
        """
        codes = []
        ids = []
        entries = [(id_, name) for id_, name in enumerate(index.names) if name]
        for id_, name in progress(entries, unit="entry"):
            try:
                codes.append(packed(open_photo(Path(name)).on_white().rgb))
            except (UnreadableImage, OSError):
                continue
            ids.append(id_)
        if not codes:
            msg = "PDQ needs the images of the index's entries, and none is at its place"
            raise ValueError(msg)
        return cls(np.stack(codes), np.array(ids), len(entries) - len(ids))

    def search(
        self, queries: NDArray[np.uint8], k: int, sign: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the nearest hashes.

        Args:
            queries: (Q, 32) uint8.
            k: Neighbors per query.
            sign: 1, or -1 to return negated distances, as inner products are ordered.

        Returns:
            Distances in bits and ids, (Q, k); an id of -1 where there are fewer entries.
        """
        index = faiss.IndexBinaryFlat(256)
        index.add(self.codes)
        distances, rows = index.search(queries, k)
        ids = np.where(rows >= 0, self.ids[rows], -1)
        return sign * distances.astype(np.float32), ids


def packed(rgb: RGBImage) -> NDArray[np.uint8]:
    """Hash an image (H, W, 3) to 32 bytes."""
    return np.packbits(pdq(rgb)[0])
