"""Targets of activation in descriptor space (arXiv 2210.10620, section 4.1).

An index stores an entry coarsely: its cell, and a code that decodes to another vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from indexing.faiss_files import linked
from models.search import faiss_errors

Kind = Literal["auto", "reconstruction", "centroid", "halfway", "feature"]
Vectors = NDArray[np.float32]

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
            descriptors (``RFlat``), the coarse index that selects the candidates is used.

    Raises:
        ValueError: If the index has no cells or cannot decode, as ``kind`` requires.
    """
    index = coarse(trained)
    if kind in ("auto", "reconstruction"):
        decoded = reconstruct(index, features)
        exact = bool(
            np.abs(decoded - features).max() <= 1e-5 * max(1.0, float(np.abs(features).max()))
        )
        if kind == "reconstruction" or not exact:
            vectors, moved = within_own_cells(index, features, decoded)
            return Targets(vectors, "reconstruction", moved)
        kind = "centroid" if has_cells(index) else "feature"
    if kind == "feature":
        return Targets(features.copy(), kind)
    centers = centroids(index, features)
    if kind == "centroid":
        return Targets(centers, kind)
    return Targets(((centers + features) / 2).astype(np.float32), kind)


def coarse(index: Any) -> Any:
    """Return the part of an index that selects candidates."""
    index = faiss.downcast_index(index)
    while isinstance(index, faiss.IndexRefine):
        index = faiss.downcast_index(index.base_index)
    return index


def reconstruct(index: Any, features: Vectors) -> Vectors:
    """Encode and decode descriptors with an index, (N, D)."""
    fault = "this index cannot decode its entries; use another target than the reconstruction"
    with faiss_errors(fault):
        empty = linked(faiss.clone_index(index))
        empty.reset()
        empty.add(np.ascontiguousarray(features))
        if has_cells(empty):
            faiss.extract_index_ivf(empty).make_direct_map()
        return empty.reconstruct_n(0, len(features))


def has_cells(index: Any) -> bool:
    """Return True for IVF indices."""
    return faiss.try_extract_index_ivf(index) is not None


def cells(index: Any, vectors: Vectors) -> NDArray[np.int64]:
    """Assign each vector to its cell, (N, D) to (N,)."""
    return _inner(index)[1].quantizer.assign(_forward(index, vectors), 1).reshape(-1)


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
    _, ivf = _inner(index)
    numbers = cells(index, vectors)
    centers = np.stack([ivf.quantizer.reconstruct(int(number)) for number in numbers])
    return _backward(index, centers)


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


def _inner(index: Any) -> tuple[list[Any], Any]:
    """Split an index into vector transforms and IVF index."""
    index = faiss.downcast_index(index)
    chain: list[Any] = []
    while isinstance(index, faiss.IndexPreTransform):
        transforms: Any = index.chain
        for number in range(transforms.size()):
            chain.append(faiss.downcast_VectorTransform(transforms.at(number)))
        index = faiss.downcast_index(index.index)
    return chain, faiss.extract_index_ivf(index)


def _forward(index: Any, vectors: Vectors) -> Vectors:
    """Apply an index's transforms."""
    for transform in _inner(index)[0]:
        vectors = transform.apply(np.ascontiguousarray(vectors))
    return np.ascontiguousarray(vectors)


def _backward(index: Any, vectors: Vectors) -> Vectors:
    """Invert an index's transforms."""
    for transform in reversed(_inner(index)[0]):
        vectors = transform.reverse_transform(np.ascontiguousarray(vectors))
    return np.ascontiguousarray(vectors)
