"""A detector's answers to every picture of some shards, over any number of processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

import torch
from lightning import LightningModule

from datamodules.fake2m.datamodule import Fake2MDataModule
from datamodules.streams import PADDING
from detectors.detector import Detector
from detectors.feature_shards import check_features
from detectors.scores import Scores
from engine.jobs import job_trainer
from images.transforms import Edit

Rows = list[dict[str, Any]]
Precision = Literal["32-true", "16-mixed", "bf16-mixed"]


def answers(detector: Detector, batch: dict[str, Any]) -> Rows:
    """The records of a batch's pictures with ``label`` and ``logit``; what only fills the batch up is left out."""
    logits = detector(batch["image"]).double().tolist()
    rows = zip(batch["record"], batch["label"].tolist(), logits, strict=True)
    return [record | {"label": label, "logit": logit} for record, label, logit in rows if label != PADDING]


def gathered(rows: Rows) -> Rows:
    """The rows of all processes, in the order of their ranks."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows
    every: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(every, json.dumps(rows))
    return [row for text in every for row in json.loads(text)]


class Scoring(LightningModule):
    """Collects answers in ``predict``; after it ``rows`` and ``failed`` hold those of all processes."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector
        self.rows: Rows = []
        self.failed: Rows = []

    def predict_step(self, batch: dict[str, Any], _: int) -> None:
        self.rows += answers(self.detector, batch)
        self.failed += [record for record in batch["record"] if "error" in record]

    def on_predict_epoch_end(self) -> None:
        self.rows, self.failed = gathered(self.rows), gathered(self.failed)


def score_shards(
    detector: Detector,
    urls: Sequence[str],
    batch_size: int = 64,
    num_workers: int = 4,
    accelerator: str = "auto",
    devices: int = 1,
    precision: Precision = "32-true",
    edit: Edit | None = None,
) -> tuple[Scores, Rows] | None:
    """Score every picture once.

    Args:
        detector: The detector.
        urls: Patterns of shards; see :class:`datamodules.shards.ShardSource`.
        batch_size: Pictures per process and step.
        num_workers: Loader processes.
        accelerator: Lightning's: auto, cpu, gpu.
        devices: Processes.
        precision: Lightning's.
        edit: What is done to every picture first; see :mod:`images.transforms`.

    Returns:
        The scores, and the records of pictures that could not be read; None on every process but the first.

    Raises:
        ValueError: If shards of features are of another backbone.
    """
    check_features(detector, urls)
    module = Scoring(detector)
    data = Fake2MDataModule(test=urls, test_view=detector.view, batch_size=batch_size, num_workers=num_workers, edit=edit)
    trainer = job_trainer(accelerator, devices, precision=precision)
    trainer.predict(module, data, return_predictions=False)
    return (Scores.of(module.rows), module.failed) if trainer.is_global_zero else None
