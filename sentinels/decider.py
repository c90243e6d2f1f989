"""Deciding from Python whether a system used sentinels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from images.given import Images, given_images
from models.embedders import Embedder, open_embedder
from sentinels.permutation import LEVEL, permutation_test, sequential_test


@dataclass(frozen=True)
class Decision:
    """Whether a system used the sentinels, and on which evidence.

    Attributes:
        used: Whether ``p`` is at most ``level``. If not, there is no evidence of use, which is no proof of the contrary.
        p: p-value of the permutation test, in (0, 1].
        level: Chance of a false accusation that is accepted.
        keys: How many sources were compared.
        matched: Mean cosine similarity of outputs to their own sentinels, in [-1, 1].
        mismatched: The same to the other sentinels.
        stop_after: Keys after which one could have stopped asking, at the same level; None if never.
    """

    used: bool
    p: float
    level: float
    keys: int
    matched: float
    mismatched: float
    stop_after: int | None

    @classmethod
    def of(cls, cosines: NDArray[np.float64], level: float = LEVEL, seed: int = 0) -> Self:
        """Decide from similarities.

        Args:
            cosines: (n, n), outputs by sentinels, each output's own sentinel on the diagonal, in the order of asking.
            level: Chance of a false accusation that is accepted.
            seed: Of the drawn pairings.

        Raises:
            ValueError: If there are fewer than two keys.
        """
        tested, watched = permutation_test(cosines, seed), sequential_test(cosines, level)
        return cls(
            tested.p <= level,
            tested.p,
            level,
            len(cosines),
            tested.matched,
            tested.mismatched,
            watched.stop,
        )


class Decider:
    """Compares a system's outputs with sentinels, and decides.

    Args:
        embedder: Compares images by what they look like.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    @classmethod
    def from_pretrained(cls, name: str = "dino") -> Self:
        """Open the model that compares: ``dino`` (the paper's), ``dinov2``, ``clip``, ``siglip``, a folder or a Hub id."""
        return cls(open_embedder(name, appearance=True))

    def decide(
        self,
        outputs: Mapping[str, Images],
        sentinels: Mapping[str, Images],
        level: float = LEVEL,
        seed: int = 0,
    ) -> Decision:
        """Test whether outputs look like their own sentinels more than chance would have it.

        Args:
            outputs: By source: what the system drew when it was asked for the source's key, one image or one for each trial. Images
                are paths, Pillow images, (H, W, 3) uint8 arrays or tensors in [0, 1].
            sentinels: By source: the sentinel. There may be more sentinels than outputs.
            level: Chance of a false accusation that is accepted.
            seed: Of the drawn pairings.

        Raises:
            UnreadableImage: If an image cannot be decoded.
            ValueError: If an output has no sentinel, or there are fewer than two.
        """
        if strangers := sorted(set(outputs) - set(sentinels)):
            msg = f"no sentinel of {strangers[0]}; give one for every output"
            raise ValueError(msg)
        found = (
            np.stack([self._mean(outputs[source]) for source in outputs])
            if outputs
            else np.zeros((0, 1))
        )
        planted = (
            np.stack([self._mean(sentinels[source]) for source in outputs])
            if outputs
            else np.zeros((0, 1))
        )
        return Decision.of(found @ planted.T, level, seed)

    def _mean(self, images: Images) -> NDArray[np.float64]:
        """Mean unit vector of a source's images."""
        levels = [image.photo.rgb for image in given_images(images)]
        if not levels:
            msg = "a source without an image; leave it out"
            raise ValueError(msg)
        vectors: NDArray[np.float64] = self.embedder.embed_arrays(levels).double().numpy()
        return vectors.mean(axis=0)
