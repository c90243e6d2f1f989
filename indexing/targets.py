"""Where in descriptor space a picture should lie for an index to find it: the targets of activation (arXiv 2210.10620, section 4.1).

What an index knows of an entry is coarser than the entry: the cell it is in, and a code that is decoded to another vector.
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
"""Shares of the way from the anchor to a reconstruction that are tried until it is in its own cell."""


@dataclass(frozen=True)
class Targets:
    """Targets of N pictures.

    Attributes:
        vectors: (N, D).
        kind: What they are; never ``auto``.
        moved: How many reconstructions lay in another cell than their entry and were drawn back.
    """

    vectors: Vectors
    kind: Kind
    moved: int = 0


def find_targets(trained: Any, features: Vectors, kind: Kind = "auto") -> Targets:
    """Targets of pictures for an index.

    Args:
        trained: The index, trained; its entries do not matter and it is not changed.
        features: The original pictures' descriptors, (N, D).
        kind: ``reconstruction``: what the index decodes an entry to (for PQ, OPQ, LSH, scalar quantisers, with IVF or without).
            ``centroid``: the middle of its cell (IVF). ``halfway``: the mean of centroid and descriptor. ``feature``: the
            descriptor itself, which is only of use with edited views. ``auto``: the reconstruction where it differs from the
            descriptor, else the centroid where there are cells, else the descriptor (Flat, HNSW). An index that is refined
            by exact descriptors (``RFlat``) is taken for the coarser one that chooses the candidates.

    Raises:
        ValueError: If the index has no cells, or cannot decode.
    """
    index = coarse(trained)
    if kind in ("auto", "reconstruction"):
        decoded = reconstruct(index, features)
        exact = bool(np.abs(decoded - features).max() <= 1e-5 * max(1.0, float(np.abs(features).max())))
        if kind == "reconstruction" or not exact:
            vectors, moved = within_own_cells(index, features, decoded)
            return Targets(vectors, "reconstruction", moved)
        kind = "centroid" if has_cells(index) else "feature"
    if kind == "feature":
        return Targets(features.copy(), kind)
    centres = centroids(index, features)
    return Targets(centres if kind == "centroid" else ((centres + features) / 2).astype(np.float32), kind)


def coarse(index: Any) -> Any:
    """The part of an index that chooses the candidates: without its refinement by better descriptors."""
    index = faiss.downcast_index(index)
    while isinstance(index, faiss.IndexRefine):
        index = faiss.downcast_index(index.base_index)
    return index


def reconstruct(index: Any, features: Vectors) -> Vectors:
    """What an index would decode entries of these descriptors to, (N, D)."""
    with faiss_errors("this index cannot decode its entries; use another target than the reconstruction"):
        empty = linked(faiss.clone_index(index))
        empty.reset()
        empty.add(np.ascontiguousarray(features))
        if has_cells(empty):
            faiss.extract_index_ivf(empty).make_direct_map()
        return empty.reconstruct_n(0, len(features))


def has_cells(index: Any) -> bool:
    """Whether entries are kept in cells, of which a search looks into a few."""
    return faiss.try_extract_index_ivf(index) is not None


def cells(index: Any, vectors: Vectors) -> NDArray[np.int64]:
    """Number of the cell that each vector belongs to, (N,)."""
    return _inner(index)[1].quantizer.assign(_forward(index, vectors), 1).reshape(-1)


def centroids(index: Any, vectors: Vectors) -> Vectors:
    """Middle of each vector's cell, in the space of descriptors, (N, D).

    Raises:
        ValueError: If the index has no cells.
    """
    if not has_cells(index):
        msg = "this index has no cells, so there is no centroid; use the target reconstruction, or auto"
        raise ValueError(msg)
    _, ivf = _inner(index)
    numbers = cells(index, vectors)
    middles = np.stack([ivf.quantizer.reconstruct(int(number)) for number in numbers])
    return _backward(index, middles)


def within_own_cells(index: Any, features: Vectors, decoded: Vectors) -> tuple[Vectors, int]:
    """Reconstructions drawn back, where they lie in another cell than their entry: there the entry would not be looked for.

    They are drawn towards the cell's middle; where that is not in the cell itself, as can be with inner products, towards the
    descriptor, which always is.
    """
    if not has_cells(index):
        return decoded, 0
    own = cells(index, features)
    astray = np.flatnonzero(cells(index, decoded) != own)
    if not len(astray):
        return decoded, 0
    result, middles = decoded.copy(), centroids(index, features[astray])
    inside = cells(index, middles) == own[astray]
    anchors = np.where(inside[:, None], middles, features[astray])
    waiting = np.ones(len(astray), dtype=bool)
    for share in STEPS:
        tried = (anchors + share * (decoded[astray] - anchors)).astype(np.float32)
        good = waiting & ((cells(index, tried) == own[astray]) | (share == 0))
        result[astray[good]] = tried[good]
        waiting &= ~good
    return result, len(astray)


def _inner(index: Any) -> tuple[list[Any], Any]:
    """The transforms before an IVF index, and the IVF index."""
    index = faiss.downcast_index(index)
    chain: list[Any] = []
    while isinstance(index, faiss.IndexPreTransform):
        transforms: Any = index.chain
        chain += [faiss.downcast_VectorTransform(transforms.at(place)) for place in range(transforms.size())]
        index = faiss.downcast_index(index.index)
    return chain, faiss.extract_index_ivf(index)


def _forward(index: Any, vectors: Vectors) -> Vectors:
    for transform in _inner(index)[0]:
        vectors = transform.apply(np.ascontiguousarray(vectors))
    return np.ascontiguousarray(vectors)


def _backward(index: Any, vectors: Vectors) -> Vectors:
    for transform in reversed(_inner(index)[0]):
        vectors = transform.reverse_transform(np.ascontiguousarray(vectors))
    return np.ascontiguousarray(vectors)
