"""The embedded world's unconditional pixel diffusion model, at half the pictures' side, as ADM's 256 is to 512: what purifies them."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.utils.data import Dataset

from images.io import to_uint8
from tiny.dataset import PortraitDataset
from tiny.folder import CaptionedPictures
from tiny.schedule import one_cycle

SIDE = 32
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
}
"""ADM's."""


class Views(Dataset[dict[str, Tensor]]):
    """Pictures as the purifiers show them to the model: whole at half their side, or a window at their own.

    Every picture is read or drawn once, and kept as 8-bit values.

    Args:
        pictures: Items with ``image``, (3, S, S) in [0, 1], S at least ``SIDE``.
    """

    def __init__(self, pictures: PortraitDataset | CaptionedPictures) -> None:
        batches = torch.arange(len(pictures)).split(64)
        drawn = [
            torch.stack([item["image"] for item in pictures.__getitems__(batch.tolist())])
            for batch in batches
        ]
        self.images = torch.cat([to_uint8(images) for images in drawn])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """``image``, (3, SIDE, SIDE) in [-1, 1]; which view is drawn from torch's generator."""
        image = self.images[index].float() / 127.5 - 1
        if torch.rand(()) < 0.5:
            return {
                "image": F.interpolate(image[None], (SIDE, SIDE), mode="bilinear", antialias=True)[
                    0
                ]
            }
        top, left = torch.randint(image.shape[-1] - SIDE + 1, (2,)).tolist()
        return {"image": image[:, top : top + SIDE, left : left + SIDE]}


class UnconditionalTask(LightningModule):
    """Noise prediction (arXiv 2006.11239).

    Args:
        network: The denoiser.
        steps: Length of the schedule.
        lr: Peak learning rate.
    """

    signal: Tensor

    def __init__(self, network: UNet2DModel, steps: int, lr: float) -> None:
        super().__init__()
        self.network, self.steps, self.lr = network, steps, lr
        self.register_buffer("signal", DDPMScheduler(**SCHEDULE).alphas_cumprod, persistent=False)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        steps = torch.randint(len(self.signal), (len(batch["image"]),), device=self.device)
        loss = self._errors(batch["image"], steps, torch.randn_like(batch["image"])).mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        images, source = batch["image"], torch.Generator().manual_seed(index)
        steps = torch.linspace(0, len(self.signal) - 1, len(images), device=self.device).long()
        noise = torch.randn(images.shape, generator=source).to(images)
        self.log("val/loss", self._errors(images, steps, noise).mean(), batch_size=len(images))

    def _errors(self, images: Tensor, steps: Tensor, noise: Tensor) -> Tensor:
        signal = self.signal[steps].view(-1, 1, 1, 1)
        noisy = signal.sqrt() * images + (1 - signal).sqrt() * noise
        return (self.network(noisy, steps).sample.float() - noise).square().mean(dim=(1, 2, 3))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(self, self.lr, self.steps)


def build_denoiser(channels: tuple[int, ...]) -> UNet2DModel:
    """An untrained denoiser with attention at its lowest side."""
    plain = len(channels) - 1
    return UNet2DModel(
        sample_size=SIDE,
        block_out_channels=channels,
        layers_per_block=1,
        down_block_types=("DownBlock2D",) * plain + ("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * plain,
        attention_head_dim=16,
        norm_num_groups=8,
    )


def save_unconditional(network: UNet2DModel, folder: Path) -> None:
    """As a folder that ``DDPMPipeline.from_pretrained`` opens, with 16-bit weights that open as 32-bit ones."""
    DDPMPipeline(network.half(), DDPMScheduler(**SCHEDULE)).save_pretrained(folder)
