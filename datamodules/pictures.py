"""A data module over ready-made map-style data sets."""

from __future__ import annotations

from typing import Any

from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset


class PictureDataModule(LightningDataModule):
    """Batches from data sets whose items are dicts with ``image``: (3, H, W) float32 RGB in [0, 1].

    Args:
        train: Data for ``fit``; shuffled, the last incomplete batch left out.
        val: Data for validation, in order and complete.
        predict: Data for batch jobs, in order and complete.
        batch_size: Pictures per process and step.
        num_workers: Loader processes; 0 loads in the training process.
    """

    def __init__(
        self,
        train: Dataset[Any] | None = None,
        val: Dataset[Any] | None = None,
        predict: Dataset[Any] | None = None,
        batch_size: int = 16,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            msg = f"batch_size must be at least 1, got {batch_size}"
            raise ValueError(msg)
        self.datasets = {"train": train, "val": val, "predict": predict}
        self.batch_size, self.num_workers = batch_size, num_workers

    def _loader(self, split: str) -> DataLoader[Any]:
        dataset = self.datasets[split]
        if dataset is None:
            msg = f"this run needs the '{split}' data set: set data.init_args.{split} in the config"
            raise ValueError(msg)
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            shuffle=split == "train",
            drop_last=split == "train",
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
        )

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        return [] if self.datasets["val"] is None else self._loader("val")

    def predict_dataloader(self) -> DataLoader[Any]:
        return self._loader("predict")
