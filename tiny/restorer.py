"""Training of the toy restoration network, which turns degraded small portraits into whole ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.utils.data import Dataset
from transformers import Swin2SRConfig, Swin2SRForImageSuperResolution

from images.transforms.codecs import jpeg
from images.transforms.filters import Noise, gaussian_blur
from images.transforms.geometry import resize
from images.transforms.histories import FILTERS
from images.transforms.protocol import Edit, RGBImage
from images.transforms.views import to_tensor
from tiny.dataset import PortraitDataset
from tiny.schedule import one_cycle
from tiny.train_sources import draw_or_read

SCALE = 2
"""Factor by which the network enlarges an image."""

WINDOW = 8
"""Side of the attention's windows, in pixels of the small image."""


class DegradedPortraits(Dataset[dict[str, Tensor]]):
    """Portraits with degraded copies of half their side.

    Every portrait is drawn once, and degraded anew each time.

    Args:
        portraits: The portraits, of S pixels.
    """

    def __init__(self, portraits: PortraitDataset) -> None:
        self.images = draw_or_read(portraits).permute(0, 2, 3, 1).numpy()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return ``image``, (3, S, S), and its copy ``small``, (3, S / 2, S / 2), in [0, 1]."""
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        rgb = self.images[index]
        return {"image": to_tensor(rgb), "small": to_tensor(degrade(rgb, rng))}


def degrade(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Blur, add noise and compress, each or not, in random order; then scale to half the side.

    After BSRGAN (arXiv 2103.14006), with milder values, since portraits have 64 pixels.
    """
    for number in rng.permutation(len(DEGRADATIONS)):
        if rng.random() < 0.5:
            rgb = DEGRADATIONS[number](rgb, rng)
    resample = FILTERS[rng.integers(len(FILTERS))]
    return resize(rgb, rgb.shape[0] // SCALE, rgb.shape[1] // SCALE, resample)  # type: ignore[arg-type]


def _blur(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    return gaussian_blur(rgb, rng.uniform(0.2, 1.2))


def _add_noise(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    return Noise(rng.uniform(0, 12))(rgb, rng)


def _compress(rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
    return jpeg(rgb, int(rng.integers(50, 96)))


DEGRADATIONS: tuple[Edit, ...] = (_blur, _add_noise, _compress)
"""Degradations before scaling."""


def build_restorer(width: int, depth: int, blocks: int) -> Swin2SRForImageSuperResolution:
    """Build an untrained network.

    Args:
        width: Width of its tokens, a multiple of 16.
        depth: Layers of each block.
        blocks: Number of blocks.
    """
    config = Swin2SRConfig(
        image_size=4 * WINDOW,
        embed_dim=width,
        depths=[depth] * blocks,
        num_heads=[width // 16] * blocks,
        window_size=WINDOW,
        drop_path_rate=0.0,
        upscale=SCALE,
        upsampler="pixelshuffledirect",
    )
    return Swin2SRForImageSuperResolution(config)


class RestorerTask(LightningModule):
    """Train restoration by the mean absolute error, as of Swin2SR (arXiv 2209.11345).

    Args:
        network: The network.
        steps: Length of the one-cycle schedule, in optimizer steps.
        lr: Peak learning rate.
    """

    def __init__(self, network: Swin2SRForImageSuperResolution, steps: int, lr: float) -> None:
        super().__init__()
        self.network = network
        self.steps = steps
        self.lr = lr

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        loss = self._errors(batch, torch.abs).mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        count = len(batch["image"])
        error = self._errors(batch, torch.square).mean(dim=(1, 2, 3))
        self.log("val/psnr", -10 * error.log10().mean(), batch_size=count)
        enlarged = F.interpolate(batch["small"], scale_factor=SCALE, mode="bicubic").clamp(0, 1)
        error = (enlarged - batch["image"]).square().mean(dim=(1, 2, 3))
        self.log("val/psnr_bicubic", -10 * error.log10().mean(), batch_size=count)

    def _errors(self, batch: dict[str, Tensor], measure: Callable[[Tensor], Tensor]) -> Tensor:
        """Measure the restored values' errors, (B, 3, S, S)."""
        return measure(self.network(batch["small"]).reconstruction.float() - batch["image"])

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(self, self.lr, self.steps)


def save_restorer(network: Swin2SRForImageSuperResolution, folder: Path) -> None:
    """Save in float16, as transformers opens it."""
    network.half().save_pretrained(folder)
