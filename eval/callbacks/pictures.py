"""Image grids in the logs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.utils import make_grid

from eval.callbacks.required_methods import require_methods
from images.transforms.views import to_tensor

LABEL_PX = 16
"""Height of a row's name, in pixels."""


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
            log_image(trainer, "protected images", grid)


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
    rows = {"clean": clean, "protected": protected, f"difference x {gain:g}": difference}
    return labeled_rows(rows)


def labeled_rows(rows: Mapping[str, Tensor]) -> Tensor:
    """Arrange images in rows, each below its name.

    Args:
        rows: (B, 3, S, S) in [0, 1] by name; B may differ.

    Returns:
        One image, (3, H, W) on the CPU; a single black pixel if there are no rows.
    """
    if not rows:
        return torch.zeros(3, 1, 1)
    strips = []
    for name, images in rows.items():
        strips += [_label(name), make_grid(images.float().cpu(), nrow=len(images))]
    width = max(strip.shape[2] for strip in strips)
    padded = [F.pad(strip, (0, width - strip.shape[2])) for strip in strips]
    return torch.cat(padded, dim=1)


def _label(text: str) -> Tensor:
    """Draw a line of white text on black, (3, LABEL_PX, W)."""
    font = ImageFont.load_default(LABEL_PX - 4)
    strip = Image.new("L", (math.ceil(font.getlength(text)) + 4, LABEL_PX))
    ImageDraw.Draw(strip).text((2, LABEL_PX // 2), text, 255, font, anchor="lm")
    return to_tensor(np.asarray(strip.convert("RGB")))


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
