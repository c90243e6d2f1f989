"""The embedded world's x4 upscaler: latents of large portraits, drawn from a small picture that may be noisy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    StableDiffusionUpscalePipeline,
    UNet2DConditionModel,
)
from diffusers.models.embeddings import get_timestep_embedding
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.utils.data import Dataset
from transformers import CLIPTextModel, CLIPTokenizer

from tiny.dataset import PortraitDataset
from tiny.diffusion import save_half, tokenize
from tiny.schedule import one_cycle

SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "clip_sample": False,
}
"""Stable Diffusion's upscaler's, for the latents and for the small picture's noise."""

SCALING = 0.08333
"""What diffusers' upscaling pipeline multiplies latents by, whatever its autoencoder says."""

MAX_LEVEL = 350
"""The largest timestep whose noise the small picture may have."""

CROP = 32
"""Side of the windows it is trained on, in latents and in pixels of the small picture."""


@dataclass
class Crops(Dataset[dict[str, Tensor]]):
    """Windows of encoded portraits: ``latents`` (4, CROP, CROP), ``low`` (3, CROP, CROP) in [-1, 1] and ``text`` (tokens, width)."""

    latents: Tensor
    low: Tensor
    text: Tensor

    def __len__(self) -> int:
        return len(self.latents)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        top, left = torch.randint(self.low.shape[-1] - CROP + 1, (2,)).tolist()
        area = (index, slice(None), slice(top, top + CROP), slice(left, left + CROP))
        return {
            "latents": self.latents[area].float(),
            "low": self.low[area].float(),
            "text": self.text[index],
        }

    @classmethod
    @torch.no_grad()
    def encode(
        cls,
        portraits: PortraitDataset,
        vae: AutoencoderKL,
        tokenizer: CLIPTokenizer,
        encoder: CLIPTextModel,
        batch: int = 16,
    ) -> Crops:
        """Draw and encode every portrait, and shrink it to a quarter."""
        latents, low, text = [], [], []
        for start in range(0, len(portraits), batch):
            items = portraits.__getitems__(list(range(start, min(start + batch, len(portraits)))))
            images = torch.stack([item["image"] for item in items]) * 2 - 1
            latents.append((vae.encode(images).latent_dist.mode() * SCALING).half())
            low.append(
                F.interpolate(images, scale_factor=0.25, mode="bilinear", antialias=True).half()
            )
            text.append(
                encoder(tokenize(tokenizer, [item["caption"] for item in items])).last_hidden_state
            )
        return cls(torch.cat(latents), torch.cat(low), torch.cat(text))


class UpscalerTask(LightningModule):
    """Velocity prediction, told the small picture, the caption and how noisy the small picture was made.

    One caption in ten is replaced by the empty one, for guidance.

    Args:
        unet: The denoiser, over latents and the small picture together.
        empty: Hidden states of the empty caption, (tokens, width).
        steps: Length of the schedule.
        lr: Peak learning rate.
    """

    empty: Tensor

    def __init__(self, unet: UNet2DConditionModel, empty: Tensor, steps: int, lr: float) -> None:
        super().__init__()
        self.unet, self.steps, self.lr = unet, steps, lr
        self.register_buffer("empty", empty, persistent=False)
        self.schedule = DDPMScheduler(**SCHEDULE)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        count = len(batch["low"])
        dropped = torch.rand(count, 1, 1, device=self.device) < 0.1
        text = torch.where(dropped, self.empty, batch["text"])
        steps, levels = (
            torch.randint(top, (count,), device=self.device) for top in (1000, MAX_LEVEL + 1)
        )
        noise = [torch.randn_like(batch[key]) for key in ("latents", "low")]
        loss = self._errors(batch | {"text": text}, steps, levels, noise).mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        count, source = len(batch["low"]), torch.Generator().manual_seed(index)
        steps, levels = (
            torch.linspace(0, top, count, device=self.device).long() for top in (999, MAX_LEVEL)
        )
        noise = [
            torch.randn(batch[key].shape, generator=source).to(self.device)
            for key in ("latents", "low")
        ]
        self.log("val/loss", self._errors(batch, steps, levels, noise).mean(), batch_size=count)

    def _errors(
        self, batch: dict[str, Tensor], steps: Tensor, levels: Tensor, noise: list[Tensor]
    ) -> Tensor:
        noisy = self.schedule.add_noise(batch["latents"], noise[0], steps)
        low = self.schedule.add_noise(batch["low"], noise[1], levels)
        told = self.unet(
            torch.cat([noisy, low], dim=1), steps, batch["text"], class_labels=levels
        ).sample.float()
        return (
            (told - self.schedule.get_velocity(batch["latents"], noise[0], steps))
            .square()
            .mean(dim=(1, 2, 3))
        )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(self, self.lr, self.steps)


def build_upscaler(
    channels: tuple[int, ...], text_width: int, side: int = 64
) -> UNet2DConditionModel:
    """An untrained denoiser whose levels of noise start from the embedding of timesteps, so that near ones are alike."""
    attending = len(channels) - 1
    unet = UNet2DConditionModel(
        sample_size=side,
        in_channels=7,
        out_channels=4,
        block_out_channels=channels,
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * attending,
        up_block_types=("CrossAttnUpBlock2D",) * attending + ("UpBlock2D",),
        layers_per_block=1,
        cross_attention_dim=text_width,
        attention_head_dim=[width // 16 for width in channels],
        norm_num_groups=16,
        num_class_embeds=1000,
    )
    table = unet.class_embedding.weight
    table.data.copy_(get_timestep_embedding(torch.arange(len(table)), table.shape[1]))
    return unet


@torch.no_grad()
def rescale(vae: AutoencoderKL) -> None:
    """Fold the autoencoder's own scaling into the convolutions around its latents, in place, so that ``SCALING`` fits."""
    ratio = vae.config.scaling_factor / SCALING
    channels = vae.config.latent_channels
    vae.quant_conv.weight[:channels] *= ratio
    vae.quant_conv.bias[:channels] *= ratio
    vae.quant_conv.bias[channels:] += 2 * math.log(ratio)
    vae.post_quant_conv.weight /= ratio
    vae.register_to_config(scaling_factor=SCALING)


def save_upscaler(
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    folder: Path,
) -> None:
    """As a folder that ``StableDiffusionUpscalePipeline.from_pretrained`` opens, with 16-bit weights that open as 32-bit ones."""
    schedule = DDIMScheduler(
        **SCHEDULE, prediction_type="v_prediction", set_alpha_to_one=False, steps_offset=1
    )
    whole = StableDiffusionUpscalePipeline(
        vae,
        encoder,
        tokenizer,
        unet,
        DDPMScheduler(**SCHEDULE),
        schedule,
        max_noise_level=MAX_LEVEL,
    )
    save_half(whole, folder)
