"""Training loop of the recipes, with resuming, and the note beside the weights."""

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
from engine.files import locked, write_text

logger = logging.getLogger(__name__)

SAVE_INTERVAL_STEPS = 500
"""Optimizer steps between two checkpoints."""

LOG_INTERVAL_STEPS = 100
"""Optimizer steps between two lines of the log."""


@dataclass(frozen=True)
class Place:
    """Folders of weights and training images.

    Attributes:
        shipped: Folder of finished models; ``checkpoints/tiny`` in the repository.
        work: Folder of intermediate results.
        data: Folder of training images; None trains on drawn portraits.
        size: Side of the images in pixels, with ``data``.
        autoencoder: Folder of an autoencoder for the pipelines; None takes the recipe's.
    """

    shipped: Path
    work: Path
    data: Path | None = None
    size: int = 64
    autoencoder: Path | None = None


class StepLog(Callback):
    """Log the metrics every hundred steps, for output to a file."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        if trainer.global_step % LOG_INTERVAL_STEPS == 0:
            metrics = trainer.callback_metrics.items()
            values = " ".join(f"{name} {float(value):.4f}" for name, value in metrics)
            seconds = time.monotonic() - self.start
            logger.info("step %d after %.0f s: %s", trainer.global_step, seconds, values)


def fit(task: LightningModule, data: ImageDataModule, steps: int, folder: Path) -> float:
    """Train a model, or resume a stopped training.

    Args:
        task: The task.
        data: Training and validation images.
        steps: Optimizer steps.
        folder: Folder of ``resume.ckpt``, which exists only while training is unfinished.

    Returns:
        Wall time in seconds.

    Raises:
        ValueError: If another process trains in the folder.
    """
    start = time.monotonic()
    resume = folder / "resume.ckpt"
    is_terminal = sys.stdout.isatty()
    callbacks: list[Callback] = [
        ModelCheckpoint(folder, "resume", every_n_train_steps=SAVE_INTERVAL_STEPS)
    ]
    if not is_terminal:
        callbacks.append(StepLog())
    with locked(folder):
        Trainer(
            max_steps=steps,
            precision="bf16-mixed",
            # The shipped weights come from a CPU; batches are drawn and edited there, too.
            accelerator="cpu",
            devices=1,
            gradient_clip_val=1.0,
            logger=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            val_check_interval=min(SAVE_INTERVAL_STEPS, steps),
            check_val_every_n_epoch=None,
            enable_progress_bar=is_terminal,
            callbacks=callbacks,
        ).fit(task, data, ckpt_path=resume if resume.exists() else None, weights_only=True)
        resume.unlink(missing_ok=True)
    return time.monotonic() - start


def record(folder: Path, seed: int, steps: int, batch: int, seconds: float, data: str) -> None:
    """Write ``training.json`` beside the weights.

    Args:
        folder: Folder of the weights.
        seed: Seed of initialization and data.
        steps: Optimizer steps.
        batch: Images per step.
        seconds: Wall time.
        data: Description of the training images.
    """
    note = {
        "data": data,
        "seed": seed,
        "steps": steps,
        "batch_size": batch,
        "minutes": round(seconds / 60, 1),
        "threads": torch.get_num_threads(),
    }
    write_text(folder / "training.json", json.dumps(note, indent=2) + "\n")


def fit_arguments(config: Path, root: Path, settings: dict[str, str]) -> list[str]:
    """Return the arguments of ``fit`` for a config, an output folder and settings."""
    settings = settings | {"trainer.default_root_dir": str(root)}
    return ["fit", "-c", str(config), *(f"--{key}={value}" for key, value in settings.items())]
