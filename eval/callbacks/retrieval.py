"""Are edited copies of pictures still found by the embedding in training?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning import Trainer
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from eval.attacks.purification import Purifier
from eval.callbacks.periodic import PeriodicEvaluation, Scalars
from eval.metrics.retrieval import MicroAveragePrecision, RecallAt
from indexing.faiss_files import make_index
from models.search import faiss_errors

SEED = 0
NEIGHBOURS = 10


class RetrievalCallback(PeriodicEvaluation):
    """Embeds pictures and edited copies of them by the module's ``embed``, and logs how often a copy's nearest picture is its original.

    Every rank embeds all originals; the copies are shared out over the ranks.

    Args:
        pictures: Data set whose items have ``image``, (3, H, W) in [0, 1], all of one size.
        edits: What is done to the copies, by name.
        every_n_steps: Optimiser steps between two evaluations.
        name: Values are logged as ``NAME/EDIT/recall_at_1`` and ``NAME/EDIT/mu_ap``.
        batch_size: Pictures embedded at a time.
        factory: The faiss index of originals that copies are looked up in, trained on them each time: ``IVF16,PQ8x4`` shows what a
            coarse index leaves of the embedding.

    Raises:
        ValueError: If there is no edit, or ``every_n_steps`` is below 1.
    """

    needs = ("embed",)
    fits = "the training of a copy-detection network, such as python -m tiny fit -c configs/tiny/copies.yaml"

    def __init__(
        self,
        pictures: Dataset,
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
        self.pictures, self.edits, self.batch_size, self.factory = (
            pictures,
            edits,
            batch_size,
            factory,
        )

    def check(self, module: Any) -> None:
        image = self.pictures[0]["image"].unsqueeze(0).to(module.device)
        dimension = module.embed(image).shape[1]
        noise = (
            np.random.default_rng(SEED)
            .normal(size=(len(self.pictures), dimension))
            .astype(np.float32)
        )  # type: ignore[arg-type]
        self._index(noise)

    def _index(self, originals: NDArray[np.float32]) -> Any:
        """An index of unit vectors, trained on them."""
        index = make_index(self.factory, originals.shape[1], "ip")
        with faiss_errors(
            f"{self.factory} cannot be trained on {len(originals)} pictures; give more, or a smaller index"
        ):
            index.train(originals)
            index.add(originals)
        return index

    def evaluate(self, trainer: Trainer, module: Any) -> tuple[Scalars, None]:
        embed, found = module.embed, {}
        batches = [
            batch["image"].to(module.device) for batch in DataLoader(self.pictures, self.batch_size)
        ]
        originals = (
            torch.cat([F.normalize(embed(images).float()) for images in batches]).cpu().numpy()
        )
        index = self._index(originals)
        for name, edit in self.edits.items():
            recall, precision, first = (
                RecallAt(1).to(module.device),
                MicroAveragePrecision().to(module.device),
                0,
            )
            none = torch.empty(0, NEIGHBOURS, device=module.device)
            precision.update(
                none, none.long(), none[:, 0].long()
            )  # a rank without a copy has something to gather, too
            edit.to(module.device)
            for place, images in enumerate(batches):
                if place % trainer.world_size == trainer.global_rank:
                    copies = edit(images, torch.Generator().manual_seed(SEED + place))
                    nearest = index.search(
                        F.normalize(embed(copies).float()).cpu().numpy(), NEIGHBOURS
                    )
                    scores, ids = (torch.from_numpy(part).to(module.device) for part in nearest)
                    truth = torch.arange(first, first + len(images), device=module.device)
                    recall.update(ids, truth)
                    precision.update(scores, ids, truth)
                first += len(images)
            edit.to("cpu")
            found[f"{name}/recall_at_1"] = recall.compute()
            found[f"{name}/mu_ap"] = precision.compute()
        return found, None
