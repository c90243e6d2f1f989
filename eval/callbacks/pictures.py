"""Pictures in the logs."""

from __future__ import annotations

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torchvision.utils import make_grid

from eval.callbacks.needs import require


class PictureGrid(Callback):
    """Logs a grid per validation: clean pictures, protected ones, their difference amplified, row by row.

    Args:
        pictures: How many columns.
        gain: Amplification of the difference, around mid-grey.
    """

    def __init__(self, pictures: int = 8, gain: float = 10.0) -> None:
        self.pictures, self.gain = pictures, gain

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module that protects nothing."""
        require(
            pl_module,
            self,
            ("protect",),
            "python -m rid fit, such as -c configs/rid/tiny_adv_sds.yaml",
        )

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx == 0 and not trainer.sanity_checking:
            grid = picture_grid(
                batch["image"][: self.pictures], outputs[: self.pictures], self.gain
            )
            log_picture(trainer, "clean, protected, difference", grid)


def picture_grid(clean: Tensor, protected: Tensor, gain: float) -> Tensor:
    """Three rows, clean, protected and amplified difference, of (B, 3, S, S) pictures in [0, 1]; one (3, H, W) picture."""
    difference = (0.5 + gain * (protected - clean)).clamp(0, 1)
    return make_grid(torch.cat([clean, protected, difference]).float().cpu(), nrow=len(clean))


@rank_zero_only
def log_picture(trainer: Trainer, name: str, picture: Tensor) -> None:
    """Give a (3, H, W) picture in [0, 1] to every logger that takes pictures: TensorBoard's way, or ``log_image`` as W&B's."""
    for logger in trainer.loggers:
        writer: Any = getattr(logger, "experiment", None)
        if hasattr(logger, "log_image"):
            logger.log_image(key=name, images=[picture], step=trainer.global_step)
        elif hasattr(writer, "add_image"):
            writer.add_image(name, picture, trainer.global_step)
