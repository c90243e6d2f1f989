"""Callback: retrieval of sentinels by their keys with an image-text embedding."""

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
from images.transforms.squares import center_square
from sentinels.record import Record, Sentinel

IMAGES_SHOWN = 8
"""Sentinels in the logged image."""


class RAGCallback(PeriodicEvaluation):
    """Searches sentinels by their keys and logs the hit rates.

    Images are embedded by the module's ``embed``, keys by its ``embed_texts``. ``hit_at_1`` and
    ``hit_at_10`` are shares of keys whose own sentinel is among the first. ``own`` is the mean
    cosine of a key to its sentinel; ``control`` that to the best image of the collection without
    sentinels. A system finds sentinels as long as ``own`` is larger. The logged image shows
    sentinels above the first results of their keys. Every rank does the same.

    Args:
        record: File of the sentinels' record.
        originals: Folder of the collection.
        size: Side of the embedded square images, in pixels.
        every_n_steps: Optimizer steps between two evaluations, at least 1.
        name: Values are logged as ``NAME/VALUE``.
        batch_size: Images embedded at a time.
    """

    required_methods = ("embed", "embed_texts")
    supported_trainings = (
        "the training of an image-text embedder, such as "
        "python -m tiny fit -c configs/tiny/embedder.yaml"
    )

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
        self.record = Path(record)
        self.originals = Path(originals)
        self.size = size
        self.batch_size = batch_size

    def check(self, module: Any) -> None:
        planted, originals = self._collection()
        vectors = module.embed(self._load([planted[0][2], originals[0]]).to(module.device))
        keys = module.embed_texts([planted[0][1].key])
        if vectors.shape[1] != keys.shape[1]:
            msg = (
                f"{type(module).__name__} embeds images as {vectors.shape[1]} numbers and texts as "
                f"{keys.shape[1]}: they cannot be compared"
            )
            raise ValueError(msg)

    def _collection(self) -> tuple[list[tuple[str, Sentinel, Path]], list[Path]]:
        """List the record's entries, and the collection's files."""
        planted = list(Record.open(self.record).pairs())
        if not planted:
            msg = f"{self.record}: no sentinels; create them with python -m sentinels plant"
            raise ValueError(msg)
        return planted, [image.path for image in find_images([self.originals]).complete()]

    def evaluate(self, trainer: Trainer, module: Any) -> tuple[Scalars, Tensor]:
        planted, originals = self._collection()
        sentinels = [path for _, _, path in planted]
        paths = sentinels + originals

        # Cosine of every key with every image, sentinels first.
        vectors = torch.cat([self._embed(module, part) for part in self._parts(paths)])
        texts = [sentinel.key for _, sentinel, _ in planted]
        keys = F.normalize(module.embed_texts(texts).float())
        cosines = keys @ vectors.to(keys).T
        own = cosines.diagonal()
        rank = (cosines > own.unsqueeze(1)).sum(dim=1)
        values = {
            "hit_at_1": (rank < 1).float().mean(),
            "hit_at_10": (rank < 10).float().mean(),
            "own": own.mean(),
            "control": cosines[:, len(planted) :].max(dim=1).values.mean(),
        }

        # One column for each sentinel: the sentinel above the first result of its key.
        columns = []
        for sentinel, first in zip(sentinels, cosines[:IMAGES_SHOWN].argmax(dim=1), strict=False):
            columns.append(torch.cat([*self._load([sentinel, paths[int(first)]])], dim=1))
        return values, torch.cat(columns, dim=2)

    def _embed(self, module: Any, paths: list[Path]) -> Tensor:
        """Embed images as unit vectors, (n, D)."""
        return F.normalize(module.embed(self._load(paths).to(module.device)).float())

    def _load(self, paths: list[Path]) -> Tensor:
        """Load images, (n, 3, size, size) in [0, 1]."""
        return torch.stack(
            [center_square(open_photo(path).on_white().rgb, self.size) for path in paths]
        )

    def _parts(self, paths: list[Path]) -> list[list[Path]]:
        """Split files into batches."""
        starts = range(0, len(paths), self.batch_size)
        return [paths[start : start + self.batch_size] for start in starts]
