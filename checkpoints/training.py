"""Callback that saves the models' settings in Lightning checkpoints."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer

from checkpoints.lightning_files import MODELS_KEY
from checkpoints.saved import model_configs


class RememberModels(Callback):
    """Save class and settings of every model in each checkpoint, for ``from_pretrained``."""

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[MODELS_KEY] = model_configs(pl_module)
