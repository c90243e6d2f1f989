"""The data of real-or-generated detectors: mixed training streams, and other sets that are read exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, IterableDataset

from datamodules.exact import ExactStream
from datamodules.shards import ShardSource
from datamodules.streams import MixedStream, collate
from images.transforms import Edit
from images.transforms.views import View

TEST_VIEW = View()
"""The paper's: shorter side to 256, the middle 224."""

TRAIN_VIEW = View(random=True)


class Fake2MDataModule(LightningDataModule):
    """Batches of ``image`` (B, 3, S, S) in [0, 1], ``label`` (B,), 1 generated, 0 real, ``corrupt`` and ``record``; from shards.

    Shards are those of ``python -m datamodules shard``: files, or ``http(s)://`` and ``hf://`` URLs. Outside training, samples
    labelled -1 only fill up batches; see :mod:`datamodules.exact`.

    Args:
        real: Sources of photographs for training.
        generated: Sources of generated pictures for training; both classes are drawn equally often.
        val: Patterns of shards for validation.
        test: Patterns of shards to be scored.
        train_view: What is made of a picture in training.
        test_view: The same elsewhere.
        batch_size: Pictures per process and step.
        epoch_samples: Pictures of an epoch, over all processes.
        shuffle: Coded pictures held per process to draw the next one from.
        num_workers: Loader processes; 0 loads in the training process.
        edit: What is done to pictures outside training before they are seen; see :mod:`images.transforms`.

    Raises:
        ValueError: If a number is below 1, or an epoch has no whole batch for every process.
    """

    def __init__(
        self,
        real: Sequence[ShardSource] = (),
        generated: Sequence[ShardSource] = (),
        val: Sequence[str] = (),
        test: Sequence[str] = (),
        train_view: View = TRAIN_VIEW,
        test_view: View = TEST_VIEW,
        batch_size: int = 64,
        epoch_samples: int = 100_000,
        shuffle: int = 2000,
        num_workers: int = 4,
        edit: Edit | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1 or shuffle < 1 or num_workers < 0:
            msg = f"batch_size and shuffle must be at least 1 and num_workers at least 0, got {batch_size}, {shuffle} and {num_workers}"
            raise ValueError(msg)
        self.sources = (tuple(real), tuple(generated))
        self.splits = {"val": tuple(val), "test": tuple(test)}
        self.train_view, self.test_view, self.edit = train_view, test_view, edit
        self.batch_size, self.epoch_samples, self.shuffle, self.num_workers = (
            batch_size,
            epoch_samples,
            shuffle,
            num_workers,
        )

    def train_dataloader(self) -> DataLoader[Any]:
        """Without end; a resumed run draws anew, as a stream cannot go back to where it was."""
        if not all(self.sources):
            msg = "training needs sources of both classes: set data.real and data.generated"
            raise ValueError(msg)
        rank, world, step = self._place()
        batches = self.epoch_samples // (self.batch_size * world)
        if batches < max(1, self.num_workers):
            msg = (
                f"an epoch of {self.epoch_samples} pictures has {batches} batches of {self.batch_size} for each of {world} processes: "
                f"raise epoch_samples, or lower batch_size or num_workers"
            )
            raise ValueError(msg)
        seed = torch.initial_seed() + step
        return self._loader(
            MixedStream(
                self.sources, self.train_view, self.batch_size, batches, self.shuffle, seed, rank
            )
        )

    def exact_dataloader(self, split: str) -> DataLoader[Any]:
        """Every sample of ``val`` or ``test`` once over all processes.

        Raises:
            ValueError: If the split has no shards.
        """
        if not self.splits[split]:
            msg = f"this needs shards to read: set data.{split} in the config"
            raise ValueError(msg)
        rank, world, _ = self._place()
        workers = max(1, self.num_workers)
        return self._loader(
            ExactStream(
                self.splits[split], self.test_view, self.batch_size, rank, world, workers, self.edit
            )
        )

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        return self.exact_dataloader("val") if self.splits["val"] else []

    def predict_dataloader(self) -> DataLoader[Any]:
        return self.exact_dataloader("test")

    def _place(self) -> tuple[int, int, int]:
        """Rank, number of processes, and steps trained so far."""
        trainer = self.trainer
        return (
            (0, 1, 0)
            if trainer is None
            else (trainer.global_rank, trainer.world_size, trainer.global_step)
        )

    def _loader(self, stream: IterableDataset[dict[str, Any]]) -> DataLoader[Any]:
        workers = self.num_workers
        return DataLoader(
            stream,
            batch_size=self.batch_size,
            num_workers=workers,
            collate_fn=collate,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
