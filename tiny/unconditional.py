"""Training of the toy unconditional pixel diffusion model, for the purifiers.

Its side is half the images' side, as ADM's 256 pixels are of 512.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.utils.data import Dataset

from tiny.schedule import one_cycle
from tiny.train_sources import Captioned, draw_or_read

SIDE = 32
"""Side of the model's images in pixels."""

SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
}
"""ADM's noise schedule."""


class PurifierViews(Dataset[dict[str, Tensor]]):
    """Views of images for the purifiers: the whole at half its side, or a crop.

    Every image is read or drawn once, and stored as 8-bit values.

    Args:
        images: Items with ``image``, (3, S, S) in [0, 1], S at least ``SIDE``.
    """

    def __init__(self, images: Captioned) -> None:
        self.images = draw_or_read(images)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return a random view as ``image``, (3, SIDE, SIDE) in [-1, 1]."""
        image = self.images[index].float() / 127.5 - 1
        if torch.rand(()) < 0.5:
            small = F.interpolate(image[None], (SIDE, SIDE), mode="bilinear", antialias=True)
            return {"image": small[0]}
        top, left = torch.randint(image.shape[-1] - SIDE + 1, (2,)).tolist()
        return {"image": image[:, top : top + SIDE, left : left + SIDE]}


class UnconditionalTask(LightningModule):
    """Train noise prediction (arXiv 2006.11239).

    Args:
        network: Denoiser.
        steps: Length of the one-cycle schedule, in optimizer steps.
        lr: Peak learning rate.
    """

    alphas_cumprod: Tensor

    def __init__(self, network: UNet2DModel, steps: int, lr: float) -> None:
        super().__init__()
        self.network = network
        self.steps = steps
        self.lr = lr
        alphas_cumprod = DDPMScheduler(**SCHEDULE).alphas_cumprod
        self.register_buffer("alphas_cumprod", alphas_cumprod, persistent=False)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        images = batch["image"]
        timesteps = torch.randint(len(self.alphas_cumprod), (len(images),), device=self.device)
        loss = self._errors(images, timesteps, torch.randn_like(images)).mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        images = batch["image"]
        generator = torch.Generator().manual_seed(index)
        last = len(self.alphas_cumprod) - 1
        timesteps = torch.linspace(0, last, len(images), device=self.device).long()
        noise = torch.randn(images.shape, generator=generator).to(images)
        self.log("val/loss", self._errors(images, timesteps, noise).mean(), batch_size=len(images))

    def _errors(self, images: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """Return the mean squared error of the predicted noise per image, (B,)."""
        alphas_cumprod = self.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        noisy = alphas_cumprod.sqrt() * images + (1 - alphas_cumprod).sqrt() * noise
        predicted = self.network(noisy, timesteps).sample.float()
        return (predicted - noise).square().mean(dim=(1, 2, 3))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(self, self.lr, self.steps)


def build_denoiser(channels: tuple[int, ...]) -> UNet2DModel:
    """Build an untrained denoiser with attention at its lowest resolution."""
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
    """Save as a ``DDPMPipeline`` in float16; it loads in float32."""
    DDPMPipeline(network.half(), DDPMScheduler(**SCHEDULE)).save_pretrained(folder)
