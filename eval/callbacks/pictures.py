"""Image grids in the logs."""

from __future__ import annotations

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torchvision.utils import make_grid

from eval.callbacks.required_methods import require_methods


class PictureGrid(Callback):
    """Logs a grid of images at each validation.

    Its rows are clean images, protected images, and their amplified difference.

    Args:
        pictures: Number of columns.
        gain: Amplification of the difference, around mid-gray.
    """

    def __init__(self, pictures: int = 8, gain: float = 10.0) -> None:
        self.pictures, self.gain = pictures, gain

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        trainings = "python -m rid fit, such as -c configs/rid/tiny_adv_sds.yaml"
        require_methods(pl_module, self, ("protect",), trainings)

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
            clean, protected = batch["image"][: self.pictures], outputs[: self.pictures]
            grid = image_grid(clean, protected, self.gain)
            log_image(trainer, "clean, protected, difference", grid)


def image_grid(clean: Tensor, protected: Tensor, gain: float) -> Tensor:
    """Arrange clean images, protected images and amplified differences in rows.

    Args:
        clean: (B, 3, S, S) in [0, 1].
        protected: (B, 3, S, S) in [0, 1].
        gain: Amplification of the difference.

    Returns:
        One image, (3, H, W).
    """
    difference = (0.5 + gain * (protected - clean)).clamp(0, 1)
    return make_grid(torch.cat([clean, protected, difference]).float().cpu(), nrow=len(clean))


@rank_zero_only
def log_image(trainer: Trainer, name: str, image: Tensor) -> None:
    """Log an image with every logger that accepts images.

    These are loggers with ``log_image``, as W&B's, or with TensorBoard's ``add_image``.

    Args:
        trainer: The trainer, whose step is recorded.
        name: Name in the log.
        image: (3, H, W) in [0, 1].
    """
    for logger in trainer.loggers:
        writer: Any = getattr(logger, "experiment", None)
        if hasattr(logger, "log_image"):
            logger.log_image(key=name, images=[image], step=trainer.global_step)
        elif hasattr(writer, "add_image"):
            writer.add_image(name, image, trainer.global_step)
