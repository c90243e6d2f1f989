"""Lightning data module over map-style data sets."""

from __future__ import annotations

from typing import Any

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from datamodules.order import LateLoader, PairedSampler, ResumableSampler
from datamodules.pairs import WithPairs


class ImageDataModule(LightningDataModule):
    """Batches from data sets whose items are dicts with ``image``.

    ``image`` is (3, H, W), float32 RGB in [0, 1].

    Args:
        train: Data for ``fit``; shuffled, without the last incomplete batch.
        val: Data for validation; in order and complete.
        batch_size: Images per process and step, at least 1.
        num_workers: Loader processes; 0 loads in the training process.

    Raises:
        ValueError: If ``batch_size`` is below 1.
    """

    def __init__(
        self,
        # jsonargparse reads no Dataset[Any]
        train: Dataset | None = None,  # type: ignore[type-arg]
        val: Dataset | None = None,  # type: ignore[type-arg]
        batch_size: int = 16,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            msg = f"batch_size must be at least 1, got {batch_size}"
            raise ValueError(msg)
        self.datasets = {"train": train, "val": val}
        self.batch_size = batch_size
        self.num_workers = num_workers

    def _loader(self, split: str) -> DataLoader[Any]:
        """Build the loader of ``train`` or ``val``."""
        dataset = self.datasets[split]
        if dataset is None:
            msg = f"this run needs the '{split}' data set: set data.init_args.{split} in the config"
            raise ValueError(msg)
        training = split == "train"
        return LateLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=self._sampler(dataset) if training else None,
            drop_last=training,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
        )

    def _sampler(self, dataset: Any) -> ResumableSampler:
        """Build the training sampler, which resumes at the trainer's batch count."""
        trainer = self.trainer
        seed = torch.initial_seed()
        if trainer is None:
            position: tuple[Any, ...] = (self.batch_size, seed, lambda: 0)
        else:
            progress = trainer.fit_loop.epoch_loop.batch_progress
            position = (
                self.batch_size,
                seed,
                lambda: progress.total.ready,
                trainer.global_rank,
                trainer.world_size,
            )
        if isinstance(dataset, WithPairs):
            return PairedSampler(len(dataset), len(dataset.pairs), *position)  # type: ignore[arg-type]
        return ResumableSampler(len(dataset), *position)

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        return [] if self.datasets["val"] is None else self._loader("val")
