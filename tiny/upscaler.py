"""Training of the toy x4 upscaler, which samples latents given a small noisy image."""

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
"""Noise schedule of Stable Diffusion's upscaler, for the latents and for the small image."""

SCALING = 0.08333
"""Scaling factor of the latents, fixed in diffusers' upscaling pipeline."""

MAX_NOISE_LEVEL = 350
"""Largest timestep of the small image's noise."""

CROP = 32
"""Side of the training crops, in latents and in pixels of the small image."""


@dataclass
class UpscalerCrops(Dataset[dict[str, Tensor]]):
    """Random crops of encoded portraits.

    An item has ``latents`` (4, CROP, CROP), ``low`` (3, CROP, CROP) in [-1, 1] and ``text``
    (tokens, width).

    Attributes:
        latents: Scaled latents, (N, 4, h, w) float16.
        low: Images at a quarter of the side, (N, 3, h, w) in [-1, 1], float16.
        text: Hidden states of the captions, (N, tokens, width).
    """

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
    ) -> UpscalerCrops:
        """Draw, encode and downscale all portraits.

        Args:
            portraits: N portraits of 256 pixels.
            vae: Autoencoder.
            tokenizer: Tokenizer of the captions.
            encoder: Text encoder.
            batch: Images encoded at once.
        """
        latents = []
        low = []
        text = []
        for start in range(0, len(portraits), batch):
            items = portraits.__getitems__(list(range(start, min(start + batch, len(portraits)))))
            images = torch.stack([item["image"] for item in items]) * 2 - 1
            latents.append((vae.encode(images).latent_dist.mode() * SCALING).half())
            small = F.interpolate(images, scale_factor=0.25, mode="bilinear", antialias=True)
            low.append(small.half())
            tokens = tokenize(tokenizer, [item["caption"] for item in items])
            text.append(encoder(tokens).last_hidden_state)
        return cls(torch.cat(latents), torch.cat(low), torch.cat(text))


class UpscalerTask(LightningModule):
    """Train velocity prediction, conditioned on a small noisy image, its noise level and caption.

    One caption in ten is replaced by the empty one, for classifier-free guidance.

    Args:
        unet: Denoiser of latents and small image together.
        empty: Hidden states of the empty caption, (tokens, width).
        steps: Length of the one-cycle schedule, in optimizer steps.
        lr: Peak learning rate.
    """

    empty: Tensor

    def __init__(self, unet: UNet2DConditionModel, empty: Tensor, steps: int, lr: float) -> None:
        super().__init__()
        self.unet = unet
        self.steps = steps
        self.lr = lr
        self.register_buffer("empty", empty, persistent=False)
        self.schedule = DDPMScheduler(**SCHEDULE)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        count = len(batch["low"])
        dropped = torch.rand(count, 1, 1, device=self.device) < 0.1
        text = torch.where(dropped, self.empty, batch["text"])
        timesteps = torch.randint(1000, (count,), device=self.device)
        noise_levels = torch.randint(MAX_NOISE_LEVEL + 1, (count,), device=self.device)
        noise = [torch.randn_like(batch[key]) for key in ("latents", "low")]
        loss = self._errors(batch | {"text": text}, timesteps, noise_levels, noise).mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        count = len(batch["low"])
        generator = torch.Generator().manual_seed(index)
        timesteps = torch.linspace(0, 999, count, device=self.device).long()
        noise_levels = torch.linspace(0, MAX_NOISE_LEVEL, count, device=self.device).long()
        noise = []
        for key in ("latents", "low"):
            noise.append(torch.randn(batch[key].shape, generator=generator).to(self.device))
        loss = self._errors(batch, timesteps, noise_levels, noise).mean()
        self.log("val/loss", loss, batch_size=count)

    def _errors(
        self,
        batch: dict[str, Tensor],
        timesteps: Tensor,
        noise_levels: Tensor,
        noise: list[Tensor],
    ) -> Tensor:
        """Return the mean squared error of the predicted velocity per image, (B,)."""
        noisy = self.schedule.add_noise(batch["latents"], noise[0], timesteps)
        low = self.schedule.add_noise(batch["low"], noise[1], noise_levels)
        inputs = torch.cat([noisy, low], dim=1)
        output = self.unet(inputs, timesteps, batch["text"], class_labels=noise_levels)
        velocity = self.schedule.get_velocity(batch["latents"], noise[0], timesteps)
        return (output.sample.float() - velocity).square().mean(dim=(1, 2, 3))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(self, self.lr, self.steps)


def build_upscaler(
    channels: tuple[int, ...], text_width: int, side: int = 64
) -> UNet2DConditionModel:
    """Build an untrained denoiser.

    The embedding of noise levels is initialized by that of timesteps, so that near levels have
    similar embeddings.

    Args:
        channels: Widths by level.
        text_width: Width of the text encoder's hidden states.
        side: Height and width of the latents.
    """
    attention_levels = len(channels) - 1
    unet = UNet2DConditionModel(
        sample_size=side,
        in_channels=7,
        out_channels=4,
        block_out_channels=channels,
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * attention_levels,
        up_block_types=("CrossAttnUpBlock2D",) * attention_levels + ("UpBlock2D",),
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
    """Fold the scaling factor into the convolutions around the latents, in place.

    Afterwards the factor is :data:`SCALING`.
    """
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
    """Save as a ``StableDiffusionUpscalePipeline`` in float16; it loads in float32.

    Args:
        vae: Autoencoder.
        unet: Denoiser.
        encoder: Text encoder.
        tokenizer: Tokenizer.
        folder: Folder to write to.
    """
    schedule = DDIMScheduler(
        **SCHEDULE, prediction_type="v_prediction", set_alpha_to_one=False, steps_offset=1
    )
    pipe = StableDiffusionUpscalePipeline(
        vae,
        encoder,
        tokenizer,
        unet,
        DDPMScheduler(**SCHEDULE),
        schedule,
        max_noise_level=MAX_NOISE_LEVEL,
    )
    save_half(pipe, folder)
