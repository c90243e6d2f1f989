"""Data module of generated-image detectors, over shards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Literal

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from datamodules.exact import ExactStream
from datamodules.order import LateLoader
from datamodules.shards import ShardSource
from datamodules.streams import MixedStream, collate
from datamodules.twins import TwinSource, TwinStream
from images.transforms import Edit
from images.transforms.views import View

TEST_VIEW = View()
"""View of the paper (arXiv 2304.13023): shorter side to 256, center crop of 224."""

TRAIN_VIEW = View(random=True)


class Fake2MDataModule(LightningDataModule):
    """Batches of labelled images from shards, class-balanced in training.

    A batch holds ``image``, (B, 3, S, S) float32 in [0, 1]; ``label``, (B,), 1 generated and 0
    real; ``damaged``, why each damaged image was left out; and ``record``, a list.

    Shards are those of ``python -m datamodules shard``: files, or ``http(s)://`` and ``hf://``
    URLs. Outside training, samples labelled -1 only fill up batches; see :mod:`datamodules.exact`.

    Args:
        real: Sources of real images for training.
        generated: Sources of generated images for training; both classes are drawn equally often.
        twins: Sources of real images and their reconstructions, in place of ``real`` and
            ``generated``: a batch holds each original with its reconstruction.
        align: ``dda`` aligns each drawn reconstruction of ``twins`` with its original anew; see
            :mod:`datamodules.fake2m.alignment`.
        val: Patterns of shards for validation.
        test: Patterns of shards for prediction.
        train_view: View to take of each image in training.
        test_view: View to take of each image outside training.
        batch_size: Images per process and step.
        epoch_samples: Images per epoch, over all processes.
        shuffle: Coded images that each process shuffles at a time.
        num_workers: Loader processes; 0 loads in the training process.
        edit: Edit applied before the view outside training; see :mod:`images.transforms`.
        train_edit: Edit applied before the view in training, such as
            :class:`images.transforms.histories.RandomHistory`.

    Raises:
        ValueError: If a number is too small, or sources exclude each other.
    """

    def __init__(
        self,
        real: Sequence[ShardSource] = (),
        generated: Sequence[ShardSource] = (),
        twins: Sequence[TwinSource] = (),
        align: Literal["none", "dda"] = "none",
        val: Sequence[str] = (),
        test: Sequence[str] = (),
        train_view: View = TRAIN_VIEW,
        test_view: View = TEST_VIEW,
        batch_size: int = 64,
        epoch_samples: int = 100_000,
        shuffle: int = 2000,
        num_workers: int = 4,
        edit: Edit | None = None,
        train_edit: Edit | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1 or shuffle < 1 or num_workers < 0:
            msg = (
                "batch_size and shuffle must be at least 1 and num_workers at least 0, "
                f"got {batch_size}, {shuffle} and {num_workers}"
            )
            raise ValueError(msg)
        if twins and (real or generated or batch_size % 2):
            msg = "twins need an even batch_size, and no real or generated sources beside them"
            raise ValueError(msg)
        if align != "none" and not twins:
            msg = f"align {align} is for twins: name sources of twins, or leave it out"
            raise ValueError(msg)
        self.sources = (tuple(real), tuple(generated))
        self.twins = tuple(twins)
        self.align = align
        self.splits = {"val": tuple(val), "test": tuple(test)}
        self.train_view = train_view
        self.test_view = test_view
        self.edit = edit
        self.train_edit = train_edit
        self.batch_size = batch_size
        self.epoch_samples = epoch_samples
        self.shuffle = shuffle
        self.num_workers = num_workers

    @property
    def train_urls(self) -> list[str]:
        """Patterns of all shards of training."""
        urls = [source.urls for of_class in self.sources for source in of_class]
        return urls + [url for source in self.twins for url in (source.real, source.made)]

    def train_dataloader(self) -> DataLoader[Any]:
        """Build the endless training loader, which goes on where a resumed run was.

        Raises:
            ValueError: If a class has no sources, or an epoch is shorter than one batch for every
                worker of every process.
        """
        if not all(self.sources) and not self.twins:
            msg = (
                "training needs sources of both classes: set data.real and data.generated, "
                "or data.twins"
            )
            raise ValueError(msg)
        rank, world = self._place()
        batches = self.epoch_samples // (self.batch_size * world)
        if batches < max(1, self.num_workers):
            msg = (
                f"an epoch of {self.epoch_samples} images has {batches} batches of "
                f"{self.batch_size} for each of {world} processes: "
                "raise epoch_samples, or lower batch_size or num_workers"
            )
            raise ValueError(msg)
        settings: dict[str, Any] = {
            "view": self.train_view,
            "batch_size": self.batch_size,
            "batches": batches,
            "shuffle": self.shuffle,
            "seed": torch.initial_seed(),
            "rank": rank,
            "edit": self.train_edit,
        }
        stream = (
            TwinStream(self.twins, self.align == "dda", **settings)
            if self.twins
            else MixedStream(self.sources, **settings)
        )
        epochs = count()

        def begin() -> None:
            """Go to the batches trained on, also by the runs that this one resumes."""
            seen = next(epochs) * batches
            if self.trainer is not None:
                seen = self.trainer.fit_loop.epoch_loop.batch_progress.total.ready
            stream.go_to(seen)

        return LateLoader(stream, begin, **self._loading())

    def exact_dataloader(self, split: str) -> DataLoader[Any]:
        """Build the loader of ``val`` or ``test``.

        Every sample is read once over all processes.

        Raises:
            ValueError: If the split has no shards.
        """
        if not self.splits[split]:
            msg = f"this needs shards to read: set data.{split} in the config"
            raise ValueError(msg)
        rank, world = self._place()
        stream = ExactStream(
            self.splits[split],
            self.test_view,
            self.batch_size,
            rank,
            world,
            max(1, self.num_workers),
            self.edit,
        )
        return DataLoader(stream, **self._loading())

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        return self.exact_dataloader("val") if self.splits["val"] else []

    def predict_dataloader(self) -> DataLoader[Any]:
        return self.exact_dataloader("test")

    def _place(self) -> tuple[int, int]:
        """Return rank and number of processes."""
        trainer = self.trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)

    def _loading(self) -> dict[str, Any]:
        """Return the settings of every loader."""
        return {
            "batch_size": self.batch_size,
            "num_workers": self.num_workers,
            "collate_fn": collate,
            "persistent_workers": self.num_workers > 0,
            "pin_memory": torch.cuda.is_available(),
        }
