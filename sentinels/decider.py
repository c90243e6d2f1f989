"""Python interface of the decision whether a system used sentinels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from images.given import Images, given_images
from models.embedders import Embedder, open_embedder
from sentinels.permutation import LEVEL, permutation_test, reach_of, sequential_test


@dataclass(frozen=True)
class Decision:
    """Decision about a system, with its evidence.

    Attributes:
        used: True if ``p`` is at most ``level``. False means no evidence of use, not proof of the
            contrary. None if so many keys cannot reach the level; see ``keys_needed``.
        p: p-value of the permutation test, in (0, 1].
        level: Accepted probability of a false accusation.
        keys: Number of compared sources.
        matched: Mean cosine similarity of outputs to their own sources, in [-1, 1].
        mismatched: Mean cosine similarity of outputs to other sources, in [-1, 1].
        stop_after: Number of keys after which a sequential test at the same level stops; None if
            it never does.
        keys_needed: Fewest keys that can reach the level.
    """

    used: bool | None
    p: float
    level: float
    keys: int
    matched: float
    mismatched: float
    stop_after: int | None
    keys_needed: int

    @classmethod
    def of(cls, cosines: NDArray[np.float64], level: float = LEVEL, seed: int = 0) -> Self:
        """Decide from cosine similarities.

        Args:
            cosines: Outputs by sources, (n, n), in the order of the queries, with each output's own
                source on the diagonal.
            level: Accepted probability of a false accusation, in (0, 1).
            seed: Seed of the random pairings.

        Raises:
            ValueError: If there are fewer than two keys.
        """
        permutation = permutation_test(cosines, seed)
        sequential = sequential_test(cosines, level)
        reach = reach_of(permutation, len(cosines), level)
        return cls(
            used=None if reach["words"] else permutation.p <= level,
            p=permutation.p,
            level=level,
            keys=len(cosines),
            matched=permutation.matched,
            mismatched=permutation.mismatched,
            stop_after=sequential.stop,
            keys_needed=reach["least_keys"],
        )


class Decider:
    """Decide from a system's outputs whether it used sentinels.

    Args:
        embedder: Model whose embeddings compare images by appearance.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    @classmethod
    def from_pretrained(cls, name: str = "dino") -> Self:
        """Load the embedding model.

        Args:
            name: ``dino`` (the paper's), ``dinov2``, ``clip``, ``siglip``, a folder or a Hub id.
        """
        return cls(open_embedder(name, appearance=True))

    def decide(
        self,
        outputs: Mapping[str, Images],
        *,
        sources: Mapping[str, Images],
        level: float = LEVEL,
        seed: int = 0,
    ) -> Decision:
        """Test whether outputs resemble their own sources more than others.

        Give the images that the sentinels were made of, not the sentinels: these show the keys, and
        so does the output of any system that letters what it is asked for.

        Args:
            outputs: Images that the system generated for each source's key, by source: one, or one
                for each trial. Images are paths, Pillow images, (H, W, 3) uint8 arrays or tensors
                in [0, 1].
            sources: Images without keys, by the same names; there may be more than outputs.
            level: Accepted probability of a false accusation, in (0, 1).
            seed: Seed of the random pairings.

        Raises:
            UnreadableImage: If an image cannot be decoded.
            ValueError: If an output has no source, or there are fewer than two.
        """
        unmatched = sorted(set(outputs) - set(sources))
        if unmatched:
            msg = f"no source named {unmatched[0]}; give one for every output"
            raise ValueError(msg)
        output_vectors = self._mean_vectors([outputs[name] for name in outputs])
        source_vectors = self._mean_vectors([sources[name] for name in outputs])
        return Decision.of(output_vectors @ source_vectors.T, level, seed)

    def _mean_vectors(self, sources: Sequence[Images]) -> NDArray[np.float64]:
        """Return the mean embedding of each source's images, (n, D)."""
        if not sources:
            return np.zeros((0, 1))
        return np.stack([self._mean_vector(images) for images in sources])

    def _mean_vector(self, images: Images) -> NDArray[np.float64]:
        """Return the mean unit vector of a source's images, (D,)."""
        arrays = [image.photo.on_white().rgb for image in given_images(images)]
        if not arrays:
            msg = "a source has no image; leave the source out"
            raise ValueError(msg)
        vectors: NDArray[np.float64] = self.embedder.embed_arrays(arrays).double().numpy()
        return vectors.mean(axis=0)
