"""Training of the embedded world's autoencoders, as Stable Diffusion's were: reconstruction, gradients, a trace of KL."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from lightning import LightningModule
from torch import Tensor
from torch.optim import Optimizer


def build_autoencoder(channels: tuple[int, ...], latent_channels: int) -> AutoencoderKL:
    """An untrained autoencoder at 1/2**(len(channels) - 1) of the side."""
    return AutoencoderKL(
        block_out_channels=channels,
        layers_per_block=1,
        latent_channels=latent_channels,
        norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        sample_size=64,
    )


def edges(images: Tensor) -> tuple[Tensor, Tensor]:
    """Differences between horizontal and vertical neighbours."""
    return images[..., :, 1:] - images[..., :, :-1], images[..., 1:, :] - images[..., :-1, :]


class AutoencoderTask(LightningModule):
    """L1 + gradient L1 + KL. Pictures in [0, 1] come in; the autoencoder sees [-1, 1].

    Args:
        autoencoder: The network to train.
        steps: Length of the one-cycle schedule.
        lr: Peak learning rate.
        gradient_weight: Weight of the L1 between neighbouring-pixel differences.
        kl_weight: Weight of the KL divergence, per latent number.
    """

    def __init__(self, autoencoder: AutoencoderKL, steps: int, lr: float, gradient_weight: float, kl_weight: float) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.steps, self.lr, self.gradient_weight, self.kl_weight = steps, lr, gradient_weight, kl_weight

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        images = batch["image"] * 2 - 1
        posterior = self.autoencoder.encode(images).latent_dist
        output = self.autoencoder.decode(posterior.sample()).sample.float()
        pixel = F.l1_loss(output, images)
        edge = sum(F.l1_loss(mine, true) for mine, true in zip(edges(output), edges(images), strict=True))
        loss = pixel + self.gradient_weight * edge + self.kl_weight * posterior.kl().mean() / posterior.mean[0].numel()
        self.log_dict({"train/l1": pixel, "train/edges": edge, "train/loss": loss}, prog_bar=True)
        return loss

    @torch.no_grad()
    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        images = batch["image"]
        output = self.autoencoder.decode(self.autoencoder.encode(images * 2 - 1).latent_dist.mode()).sample.float()
        mse = ((output / 2 + 0.5).clamp(0, 1) - images).square().mean(dim=(1, 2, 3))
        self.log("val/psnr", (-10 * mse.log10()).mean(), batch_size=len(images))

    def configure_optimizers(self) -> tuple[list[Optimizer], list[dict[str, object]]]:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr, betas=(0.9, 0.99), weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.lr, total_steps=self.steps, pct_start=0.1)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


@torch.no_grad()
def latent_scale(autoencoder: AutoencoderKL, images: Tensor) -> float:
    """The scaling factor that gives the posterior samples of these pictures (B, 3, H, W in [0, 1]) unit variance."""
    posterior = autoencoder.encode(images * 2 - 1).latent_dist
    return float(1 / posterior.sample().std())
