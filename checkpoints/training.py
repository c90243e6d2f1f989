"""How trained models go into Lightning checkpoints."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer

from checkpoints.saved import MODELS_KEY, model_configs


class RememberModels(Callback):
    """Writes into every checkpoint how the models in it are built, so that their ``from_pretrained`` opens it."""

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[MODELS_KEY] = model_configs(pl_module)
