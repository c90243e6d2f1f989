"""How a recipe runs: where things are, the training loop that goes on after a stop, and the note beside the weights."""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from datamodules.datamodule import ImageDataModule
from engine.files import write_text

logger = logging.getLogger(__name__)

SAVE_EVERY = 500
"""Steps between two saves of a run that may be stopped."""


@dataclass(frozen=True)
class Place:
    """Where weights go and pictures come from.

    Attributes:
        shipped: Finished models; ``checkpoints/tiny`` for what the repository carries.
        work: Parts on the way there.
        data: Folder of pictures to learn from; drawn portraits if None.
        size: Side of the pictures, with ``data``.
        autoencoder: Folder of a ready autoencoder for the pipelines; None takes the one that was trained before.
    """

    shipped: Path
    work: Path
    data: Path | None = None
    size: int = 64
    autoencoder: Path | None = None


class StepLog(Callback):
    """A line every hundred steps, for runs whose output goes to a file."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        if trainer.global_step % 100 == 0:
            values = " ".join(
                f"{name} {float(value):.4f}" for name, value in trainer.callback_metrics.items()
            )
            logger.info(
                "step %d after %.0f s: %s",
                trainer.global_step,
                time.monotonic() - self.start,
                values,
            )


def fit(task: LightningModule, data: ImageDataModule, steps: int, folder: Path) -> float:
    """Train for so many steps, going on from ``resume.ckpt`` in a folder if a run broke off there; the wall time in seconds."""
    start = time.monotonic()
    resume = folder / "resume.ckpt"
    Trainer(
        max_steps=steps,
        precision="bf16-mixed",
        accelerator="cpu",  # where the shipped weights come from; batches are drawn and broken there
        devices=1,
        gradient_clip_val=1.0,
        logger=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        val_check_interval=min(SAVE_EVERY, steps),
        check_val_every_n_epoch=None,
        enable_progress_bar=sys.stdout.isatty(),
        callbacks=[
            ModelCheckpoint(folder, "resume", every_n_train_steps=SAVE_EVERY),
            *([] if sys.stdout.isatty() else [StepLog()]),
        ],
    ).fit(task, data, ckpt_path=resume if resume.exists() else None, weights_only=True)
    resume.unlink(missing_ok=True)
    return time.monotonic() - start


def record(folder: Path, seed: int, steps: int, batch: int, seconds: float, data: str) -> None:
    """Leave beside the weights how they were trained."""
    note = {
        "data": data,
        "seed": seed,
        "steps": steps,
        "batch_size": batch,
        "minutes": round(seconds / 60, 1),
        "threads": torch.get_num_threads(),
    }
    write_text(folder / "training.json", json.dumps(note, indent=2) + "\n")
