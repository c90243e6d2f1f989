"""Are edited copies of pictures still found by the embedding in training?"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from lightning import Trainer
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MeanMetric

from eval.attacks.purification import Purifier
from eval.callbacks.periodic import PeriodicEvaluation, Scalars, method_of

SEED = 0


class RetrievalCallback(PeriodicEvaluation):
    """Embeds pictures and edited copies of them by the module's ``embed``, and logs how often a copy's nearest picture is its original.

    Every rank embeds all originals; the copies are shared out over the ranks.

    Args:
        pictures: Data set whose items have ``image``, (3, H, W) in [0, 1], all of one size.
        edits: What is done to the copies, by name.
        every_n_steps: Optimiser steps between two evaluations.
        name: Values are logged as ``NAME/EDIT/recall_at_1``.
        batch_size: Pictures embedded at a time.

    Raises:
        ValueError: If there is no edit, or ``every_n_steps`` is below 1.
    """

    def __init__(
        self, pictures: Dataset, edits: dict[str, Purifier], every_n_steps: int = 1000, name: str = "retrieval", batch_size: int = 32
    ) -> None:
        super().__init__(every_n_steps, name)
        if not edits:
            msg = "edits is empty: name at least one"
            raise ValueError(msg)
        self.pictures, self.edits, self.batch_size = pictures, edits, batch_size

    def evaluate(self, trainer: Trainer, module: Any) -> tuple[Scalars, None]:
        embed, found = method_of(module, "embed", self), {}
        batches = [batch["image"].to(module.device) for batch in DataLoader(self.pictures, self.batch_size)]
        originals = torch.cat([F.normalize(embed(images).float()) for images in batches])
        for name, edit in self.edits.items():
            recall, first = MeanMetric().to(module.device), 0
            edit.to(module.device)
            for index, images in enumerate(batches):
                if index % trainer.world_size == trainer.global_rank:
                    copies = edit(images, torch.Generator().manual_seed(SEED + index))
                    nearest = (F.normalize(embed(copies).float()) @ originals.T).argmax(dim=1)
                    recall.update((nearest == torch.arange(first, first + len(images), device=nearest.device)).float())
                first += len(images)
            edit.to("cpu")
            found[f"{name}/recall_at_1"] = recall.compute()
        return found, None
