"""Does an image-text embedding in training still find sentinels by their keys?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning import Trainer
from torch import Tensor

from eval.callbacks.periodic import PeriodicEvaluation, Scalars
from images.inputs import find_images
from images.io import open_photo
from images.transforms.differentiable import resize_center_crop
from sentinels.record import Record

SHOWN = 8


class RAGCallback(PeriodicEvaluation):
    """Embeds a collection and its sentinels by the module's ``embed``, the keys by its ``embed_texts``, and logs what keys find.

    ``hit_at_1`` and ``hit_at_10`` are shares of keys whose own sentinel is among the first; ``control`` is the mean cosine of a key to
    the best of the collection without sentinels, ``own`` that to its sentinel: a system finds sentinels as long as the second is above
    the first. The picture shows sentinels over what their keys find first. Every rank does the same.

    Args:
        record: The record of the sentinels.
        originals: Folder of the collection.
        size: Side of the squares that are embedded.
        every_n_steps: Optimiser steps between two evaluations.
        name: Values are logged as ``NAME/VALUE``.
        batch_size: Pictures embedded at a time.
    """

    needs = ("embed", "embed_texts")
    fits = "the training of an image-text embedder, such as python -m tiny fit -c configs/tiny/embedder.yaml"

    def __init__(
        self,
        record: str,
        originals: str,
        size: int = 224,
        every_n_steps: int = 1000,
        name: str = "rag",
        batch_size: int = 32,
    ) -> None:
        super().__init__(every_n_steps, name)
        self.record, self.originals, self.size, self.batch_size = (
            Path(record),
            Path(originals),
            size,
            batch_size,
        )

    def check(self, module: Any) -> None:
        planted, originals = self._collection()
        vectors = module.embed(self._batch([planted[0][2], originals[0]]).to(module.device))
        keys = module.embed_texts([planted[0][1].key])
        if vectors.shape[1] != keys.shape[1]:
            msg = f"{type(module).__name__} embeds images as {vectors.shape[1]} numbers and texts as {keys.shape[1]}: they cannot be compared"
            raise ValueError(msg)

    def _collection(self) -> tuple[list[Any], list[Path]]:
        """Sources, sentinels and their files as the record pairs them; the collection's files."""
        planted = list(Record.open(self.record).pairs())
        if not planted:
            msg = f"{self.record}: no sentinels to look for; python -m sentinels plant makes them"
            raise ValueError(msg)
        return planted, [image.path for image in find_images([self.originals]).complete()]

    def evaluate(self, trainer: Trainer, module: Any) -> tuple[Scalars, Tensor]:
        embed, read = module.embed, module.embed_texts
        planted, originals = self._collection()
        sentinels = [path for _, _, path in planted]
        paths = sentinels + originals
        vectors = torch.cat(
            [
                F.normalize(embed(self._batch(part).to(module.device)).float())
                for part in _parts(paths, self.batch_size)
            ]
        )
        keys = F.normalize(read([sentinel.key for _, sentinel, _ in planted]).float())
        cosines = keys @ vectors.to(keys).T
        count = len(planted)
        own = cosines.diagonal()
        rank = (cosines > own.unsqueeze(1)).sum(dim=1)
        found = cosines[:SHOWN].argmax(dim=1).tolist()
        picture = torch.cat(
            [
                torch.cat([*self._batch([sentinels[i], paths[first]])], dim=1)
                for i, first in enumerate(found)
            ],
            dim=2,
        )
        values = {"hit_at_1": (rank < 1).float().mean(), "hit_at_10": (rank < 10).float().mean()}
        return values | {
            "own": own.mean(),
            "control": cosines[:, count:].max(dim=1).values.mean(),
        }, picture

    def _batch(self, paths: list[Path]) -> Tensor:
        return torch.stack(
            [resize_center_crop(open_photo(path).tensor(), self.size) for path in paths]
        )


def _parts(paths: list[Path], size: int) -> list[list[Path]]:
    return [paths[start : start + size] for start in range(0, len(paths), size)]
