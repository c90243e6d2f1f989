"""Targets of activation in descriptor space (arXiv 2210.10620, section 4.1).

An index stores an entry coarsely: its cell, and a code that decodes to another vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from indexing.empty_copy import EmptyCopy, Vectors, backward, forward, split

Kind = Literal["auto", "reconstruction", "centroid", "halfway", "feature"]

STEPS = (1.0, 0.9, 0.75, 0.5, 0.25, 0.0)
"""Fractions of the way from anchor to reconstruction, tried until the result is in its cell."""


@dataclass(frozen=True)
class Targets:
    """Targets of N images.

    Attributes:
        vectors: (N, D).
        kind: Kind of target; never ``auto``.
        moved: Number of reconstructions that were moved back into their entry's cell.
    """

    vectors: Vectors
    kind: Kind
    moved: int = 0


def find_targets(trained: Any, features: Vectors, kind: Kind = "auto") -> Targets:
    """Compute the targets of images for an index.

    Args:
        trained: The trained index; its entries do not matter, and it is not changed.
        features: Descriptors of the original images, (N, D).
        kind: ``reconstruction``: the decoded entry (PQ, OPQ, LSH, scalar quantizers, with or
            without IVF). ``centroid``: the centroid of its cell (IVF). ``halfway``: the mean of
            centroid and descriptor. ``feature``: the descriptor itself, of use only with edited
            views. ``auto``: the reconstruction if it differs from the descriptor, else the centroid
            if there are cells, else the descriptor (Flat, HNSW). For an index refined by exact
            descriptors (``RFlat``), the coarse index that selects the candidates is used. An index
            behind a transform (``PCA64,Flat``) is exact if it keeps what the transform leaves.

    Raises:
        ValueError: If the index has no cells or cannot decode, as ``kind`` requires.
    """
    index = coarse(trained)
    if kind in ("auto", "reconstruction"):
        decoded = EmptyCopy(index).decode(features)
        if kind == "reconstruction" or not _is_exact(index, features, decoded):
            vectors, moved = within_own_cells(index, features, decoded)
            return Targets(vectors, "reconstruction", moved)
        kind = "centroid" if has_cells(index) else "feature"
    if kind == "feature":
        return Targets(features.copy(), kind)
    centers = centroids(index, features)
    if kind == "centroid":
        return Targets(centers, kind)
    return Targets(((centers + features) / 2).astype(np.float32), kind)


def _is_exact(index: Any, features: Vectors, decoded: Vectors) -> bool:
    """Return True if decoded entries equal the descriptors in the space that is searched."""
    chain, _ = split(index)
    stored, own = forward(chain, decoded), forward(chain, features)
    return bool(np.abs(stored - own).max() <= 1e-5 * max(1.0, float(np.abs(own).max())))


def coarse(index: Any) -> Any:
    """Return the part of an index that selects candidates."""
    index = faiss.downcast_index(index)
    while isinstance(index, faiss.IndexRefine):
        index = faiss.downcast_index(index.base_index)
    return index


def has_cells(index: Any) -> bool:
    """Return True for IVF indices."""
    return faiss.try_extract_index_ivf(index) is not None


def cells(index: Any, vectors: Vectors) -> NDArray[np.int64]:
    """Assign each vector to its cell, (N, D) to (N,)."""
    chain, inner = split(index)
    ivf: Any = faiss.extract_index_ivf(inner)
    return ivf.quantizer.assign(forward(chain, vectors), 1).reshape(-1)


def centroids(index: Any, vectors: Vectors) -> Vectors:
    """Compute the centroid of each vector's cell, (N, D).

    Raises:
        ValueError: If the index has no cells.
    """
    if not has_cells(index):
        msg = (
            "this index has no cells, so there is no centroid; use the target reconstruction, or "
            "auto"
        )
        raise ValueError(msg)
    chain, inner = split(index)
    ivf: Any = faiss.extract_index_ivf(inner)
    numbers = cells(index, vectors)
    centers = np.stack([ivf.quantizer.reconstruct(int(number)) for number in numbers])
    return backward(chain, centers)


def within_own_cells(index: Any, features: Vectors, decoded: Vectors) -> tuple[Vectors, int]:
    """Move reconstructions back into the cells of their entries.

    A search would not find an entry in another cell. Reconstructions move towards the centroid, or
    towards the descriptor if the centroid is not in its own cell, as happens with inner products.

    Args:
        index: The index.
        features: Descriptors of the entries, (N, D).
        decoded: Reconstructions of the entries, (N, D).

    Returns:
        The reconstructions, (N, D), and the number of those moved.
    """
    if not has_cells(index):
        return decoded, 0
    own = cells(index, features)
    astray = np.flatnonzero(cells(index, decoded) != own)
    if not len(astray):
        return decoded, 0
    result = decoded.copy()
    centers = centroids(index, features[astray])
    inside = cells(index, centers) == own[astray]
    anchors = np.where(inside[:, None], centers, features[astray])
    waiting = np.ones(len(astray), dtype=bool)
    for share in STEPS:
        tried = (anchors + share * (decoded[astray] - anchors)).astype(np.float32)
        good = waiting & ((cells(index, tried) == own[astray]) | (share == 0))
        result[astray[good]] = tried[good]
        waiting &= ~good
    return result, len(astray)
