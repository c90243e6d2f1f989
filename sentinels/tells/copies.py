"""Tell of the pixels: a near copy, by perceptual hash and by embedding."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from images.pdq import MIN_QUALITY, SAME, Hash, near_pairs

DEVIATIONS = 5.0
"""Deviations from the median at which the distance to the nearest other image stands out."""

HashedImage = tuple[Hash, int]
"""Bits and quality; see :func:`images.pdq.pdq`."""


def hash_distance(one: HashedImage, other: HashedImage) -> int | None:
    """Count the differing bits of two images that are near copies; None if they are none."""
    distance = int((one[0] != other[0]).sum())
    is_copy = distance <= SAME and min(one[1], other[1]) >= MIN_QUALITY
    return distance if is_copy else None


def same_by_hash(hashes: Mapping[str, HashedImage]) -> set[str]:
    """Name the images of a collection that have a near copy in it, by PDQ."""
    names = [name for name, (_, quality) in hashes.items() if quality >= MIN_QUALITY]
    if not names:
        return set()
    bits = np.stack([hashes[name][0] for name in names])
    return {names[one] for one, other in near_pairs(bits, bits) if one != other}


def same_by_embedding(vectors: Mapping[str, NDArray[np.float32]]) -> set[str]:
    """Name the images whose nearest other image stands out as too near.

    Args:
        vectors: Unit vectors of a collection, by name.
    """
    names = list(vectors)
    nearest = nearest_similarities(np.stack([vectors[name] for name in names]))
    threshold = outlying(nearest)
    return {name for name, value in zip(names, nearest, strict=True) if value > threshold}


def nearest_similarities(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute each vector's similarity to its nearest other vector, of (N, D) unit vectors."""
    from models.search import ExactIndex

    names = [f"{index:09d}" for index in range(len(vectors))]
    similarities, ids = ExactIndex([(names, vectors)]).search(vectors, min(2, len(vectors)))
    own = ids[:, 0] == np.arange(len(vectors))
    return np.where(own, similarities[:, -1], similarities[:, 0])


def outlying(nearest: NDArray[np.float32]) -> float:
    """Compute the similarity above which two images are nearer than most images' nearest.

    Logarithms of distances are compared, by their median and its deviation.

    Args:
        nearest: Similarity of each image to its nearest other image, (N,), of unit vectors.
    """
    distances = np.log(np.maximum(np.sqrt(np.maximum(2 - 2 * nearest, 0)), 1e-6))
    median = float(np.median(distances))
    deviation = 1.4826 * float(np.median(np.abs(distances - median)))
    return 1 - math.exp(median - DEVIATIONS * deviation) ** 2 / 2
