"""Empty copies of indices, which encode vectors as the index itself would."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from indexing.faiss_files import linked
from models.search import Neighbors, faiss_errors

Vectors = NDArray[np.float32]

NO_MAP = 0
"""faiss's ``DirectMap.NoMap``: entries can be added without a map from ids to places."""


class EmptyCopy:
    """Empty copy of a trained index.

    The graph of an NSG index is left out, since it takes no single entries.

    Args:
        index: The index; its entries do not matter, and it is not changed.
    """

    def __init__(self, index: Any) -> None:
        self.chain, inner = split(index)
        graph: Any = inner if isinstance(inner, faiss.IndexNSG) else None
        if graph is not None:
            inner = faiss.downcast_index(graph.storage)
        # faiss cannot clone every index
        self.index = linked(faiss.deserialize_index(faiss.serialize_index(inner)))
        self.index.reset()
        self.ivf: Any = faiss.try_extract_index_ivf(self.index)

    def _hold(self, vectors: Vectors) -> None:
        """Hold these vectors and no others."""
        self.index.reset()
        self.index.add(forward(self.chain, vectors))

    def decode(self, vectors: Vectors) -> Vectors:
        """Encode and decode vectors, (N, D).

        Raises:
            ValueError: If the index cannot decode.
        """
        with faiss_errors("this index cannot decode its entries, so there are no targets in it"):
            self._hold(vectors)
            if self.ivf is not None:
                self.ivf.make_direct_map()
            decoded = self.index.reconstruct_n(0, len(vectors))
            if self.ivf is not None:
                self.ivf.set_direct_map_type(NO_MAP)
            return backward(self.chain, decoded)

    def search(self, entry: Vectors, query: Vectors) -> Neighbors:
        """Search a query, (1, D), in an index of one entry, (1, D)."""
        self._hold(entry)
        return self.index.search(forward(self.chain, query), 1)


def split(index: Any) -> tuple[list[Any], Any]:
    """Split an index into vector transforms and the index behind them."""
    index = faiss.downcast_index(index)
    chain: list[Any] = []
    while isinstance(index, faiss.IndexPreTransform):
        transforms: Any = index.chain
        for number in range(transforms.size()):
            chain.append(faiss.downcast_VectorTransform(transforms.at(number)))
        index = faiss.downcast_index(index.index)
    return chain, index


def forward(chain: list[Any], vectors: Vectors) -> Vectors:
    """Apply vector transforms, (N, D) to (N, D')."""
    for transform in chain:
        vectors = transform.apply(np.ascontiguousarray(vectors))
    return np.ascontiguousarray(vectors, dtype=np.float32)


def backward(chain: list[Any], vectors: Vectors) -> Vectors:
    """Invert vector transforms, (N, D') to (N, D)."""
    for transform in reversed(chain):
        vectors = np.ascontiguousarray(vectors)
        if isinstance(transform, faiss.PCAMatrix) and transform.eigen_power != 0:
            vectors = _unwhiten(transform, vectors)
        else:
            vectors = transform.reverse_transform(vectors)
    return np.ascontiguousarray(vectors)


def _unwhiten(transform: Any, vectors: Vectors) -> Vectors:
    """Invert a PCA with whitening, which faiss's own inverse leaves out."""
    matrix = faiss.vector_to_array(transform.A).reshape(transform.d_out, transform.d_in)
    centered = vectors - faiss.vector_to_array(transform.b)
    return (centered @ np.linalg.pinv(matrix).T).astype(np.float32)
