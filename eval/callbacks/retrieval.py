"""Callback: retrieval of edited copies by an embedding in training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning import Trainer
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from engine.statistics.shares import proportion_interval
from eval.attacks.purification import Purifier
from eval.callbacks.periodic import PeriodicEvaluation, Scalars
from eval.metrics.retrieval import MicroAveragePrecision, RecallAt
from indexing.faiss_files import make_index
from models.search import faiss_errors

SEED = 0

NEIGHBORS = 10
"""Neighbors that are retrieved for each copy."""


class RetrievalCallback(PeriodicEvaluation):
    """Looks up edited copies in an index and logs the recall.

    All images are embedded by the module's ``embed``. Every rank embeds all originals; the copies
    are shared out over the ranks.

    Args:
        pictures: Data set whose items have ``image``, (3, H, W) in [0, 1], all of one size.
        edits: Edits of the copies, by name.
        every_n_steps: Optimizer steps between two evaluations, at least 1.
        name: Values are logged as ``NAME/EDIT/recall_at_1``, with ``_low`` and ``_high`` for its
            exact 95 % interval over images, and ``NAME/EDIT/mu_ap``.
        batch_size: Images embedded at a time.
        factory: Factory string of the faiss index of originals, trained on them each time.
            ``IVF16,PQ8x4`` shows the effect of a coarse index.

    Raises:
        ValueError: If there is no edit, or ``every_n_steps`` is below 1.
    """

    required_methods = ("embed",)
    supported_trainings = (
        "the training of a copy-detection network, such as "
        "python -m tiny fit -c configs/tiny/copies.yaml"
    )

    def __init__(
        self,
        pictures: Dataset,  # type: ignore[type-arg]
        edits: dict[str, Purifier],
        every_n_steps: int = 1000,
        name: str = "retrieval",
        batch_size: int = 32,
        factory: str = "Flat",
    ) -> None:
        super().__init__(every_n_steps, name)
        if not edits:
            msg = "edits is empty: name at least one"
            raise ValueError(msg)
        self.pictures: Any = pictures
        self.edits = edits
        self.batch_size = batch_size
        self.factory = factory

    def check(self, module: Any) -> None:
        # Train an index on noise, to see that there are enough images for it.
        image = self.pictures[0]["image"].unsqueeze(0).to(module.device)
        shape = (len(self.pictures), module.embed(image).shape[1])
        noise = np.random.default_rng(SEED).normal(size=shape)
        self._build_index(noise.astype(np.float32))

    def _build_index(self, originals: NDArray[np.float32]) -> Any:
        """Build an index of unit vectors, trained on them."""
        index = make_index(self.factory, originals.shape[1], "ip")
        hint = (
            f"{self.factory} cannot be trained on {len(originals)} images; "
            "give more, or a smaller index"
        )
        with faiss_errors(hint):
            index.train(originals)
            index.add(originals)
        return index

    def evaluate(self, trainer: Trainer, module: Any) -> tuple[Scalars, None]:
        # Index the originals.
        loader = DataLoader(self.pictures, self.batch_size)
        batches = [batch["image"].to(module.device) for batch in loader]
        originals = np.concatenate([_embed(module, images) for images in batches])
        index = self._build_index(originals)

        values = {}
        for name, edit in self.edits.items():
            recall = RecallAt(1).to(module.device)
            precision = MicroAveragePrecision().to(module.device)
            # A rank without a copy must have something to gather as well.
            empty = torch.empty(0, NEIGHBORS, device=module.device)
            precision.update(empty, empty.long(), empty[:, 0].long())

            # Look up this rank's copies.
            edit.to(module.device)
            first = 0
            for number, images in enumerate(batches):
                if number % trainer.world_size == trainer.global_rank:
                    copies = edit(images, torch.Generator().manual_seed(SEED + number))
                    nearest = index.search(_embed(module, copies), NEIGHBORS)
                    scores, ids = (torch.from_numpy(part).to(module.device) for part in nearest)
                    truth = torch.arange(first, first + len(images), device=module.device)
                    recall.update(ids, truth)
                    precision.update(scores, ids, truth)
                first += len(images)
            edit.to("cpu")
            share = recall.compute()
            found = round(float(share) * len(originals))
            low, high = proportion_interval(found, len(originals))
            values[f"{name}/recall_at_1"] = share
            values[f"{name}/recall_at_1_low"] = torch.tensor(low)
            values[f"{name}/recall_at_1_high"] = torch.tensor(high)
            values[f"{name}/mu_ap"] = precision.compute()
        return values, None


def _embed(module: Any, images: Tensor) -> NDArray[np.float32]:
    """Embed images as unit vectors, (n, D)."""
    return F.normalize(module.embed(images).float()).cpu().numpy()
