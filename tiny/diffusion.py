"""Training of the embedded world's latent-diffusion pipelines: a UNet and its text encoder, on portraits' latents."""

from __future__ import annotations

import json
import string
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import torch
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import Dataset
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from models.taef2 import TAEF2
from tiny.dataset import PortraitDataset
from tiny.folder import CaptionedPictures
from tiny.schedule import one_cycle

SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "prediction_type": "epsilon",
    "steps_offset": 1,
}
"""Stable Diffusion's noise schedule."""

CAPTION_TOKENS = 40


class LatentItem(TypedDict):
    """``mean`` and ``std`` of a picture's scaled posterior, (C, h, w), and its caption's tokens (CAPTION_TOKENS,)."""

    mean: Tensor
    std: Tensor
    tokens: Tensor


@dataclass
class LatentDataset(Dataset[LatentItem]):
    """Portraits encoded once."""

    mean: Tensor
    std: Tensor
    tokens: Tensor

    def __len__(self) -> int:
        return len(self.mean)

    def __getitem__(self, index: int) -> LatentItem:
        return LatentItem(mean=self.mean[index], std=self.std[index], tokens=self.tokens[index])

    @classmethod
    @torch.no_grad()
    def encode(
        cls,
        portraits: PortraitDataset | CaptionedPictures,
        vae: AutoencoderKL | TAEF2,
        tokenizer: CLIPTokenizer,
        batch: int = 32,
    ) -> LatentDataset:
        """Draw or read, encode and tokenize every picture."""
        means, stds, captions = [], [], []
        for start in range(0, len(portraits), batch):
            items = portraits.__getitems__(list(range(start, min(start + batch, len(portraits)))))
            posterior = vae.encode(
                torch.stack([item["image"] for item in items]) * 2 - 1
            ).latent_dist
            means.append(posterior.mean * vae.config.scaling_factor)
            stds.append(posterior.std * vae.config.scaling_factor)
            captions += [item["caption"] for item in items]
        return cls(torch.cat(means), torch.cat(stds), tokenize(tokenizer, captions))


def build_tokenizer(captions: list[str], size: int = 600) -> CLIPTokenizer:
    """A CLIP tokenizer with a small vocabulary learned from captions; any other text is spelled out."""
    alphabet = list(string.ascii_lowercase + string.digits + string.punctuation)
    texts = [*captions, "photo of a sks person", *alphabet]
    tokenizer = CLIPTokenizer().train_new_from_iterator(
        texts, vocab_size=size, initial_alphabet=alphabet
    )
    tokenizer.model_max_length = CAPTION_TOKENS
    return tokenizer


def tokenize(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Token ids, (captions, CAPTION_TOKENS)."""
    return tokenizer(
        captions,
        padding="max_length",
        max_length=CAPTION_TOKENS,
        truncation=True,
        return_tensors="pt",
    ).input_ids


def build_text_encoder(tokenizer: CLIPTokenizer, width: int, layers: int) -> CLIPTextModel:
    """An untrained CLIP text encoder whose words stand out from their places.

    The library's start gives words and places the same tiny scale; at this size the words were then never attended to.
    """
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            max_position_embeddings=CAPTION_TOKENS,
            projection_dim=width,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    nn.init.normal_(encoder.get_input_embeddings().weight)
    return encoder


def build_unet(
    latent_channels: int, side: int, channels: tuple[int, ...], text_width: int, head_width: int
) -> UNet2DConditionModel:
    """An untrained text-conditioned UNet for (latent_channels, side, side) latents."""
    return UNet2DConditionModel(
        sample_size=side,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=channels,
        down_block_types=("CrossAttnDownBlock2D",) * len(channels),
        up_block_types=("CrossAttnUpBlock2D",) * len(channels),
        layers_per_block=1,
        cross_attention_dim=text_width,
        attention_head_dim=[width // head_width for width in channels],
        norm_num_groups=16,
        addition_embed_type="text",  # a pooled caption beside the timestep: cross-attention alone learns too slowly here
        addition_embed_type_num_heads=4,
    )


class DiffusionTask(LightningModule):
    """Noise prediction on cached latents, weighted by min-SNR-5 (arXiv 2303.09556) so that structure comes before detail.

    One caption in ten is replaced by the empty one, for guidance.

    Args:
        unet: The denoiser.
        text_encoder: Trained together with it.
        empty: Tokens of the empty caption, (CAPTION_TOKENS,).
        steps: Length of the schedule.
        lr: Peak learning rate.
    """

    empty: Tensor
    signal: Tensor

    def __init__(
        self,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        empty: Tensor,
        steps: int,
        lr: float,
    ) -> None:
        super().__init__()
        self.unet, self.text_encoder = unet, text_encoder
        self.register_buffer("empty", empty, persistent=False)
        self.register_buffer("signal", DDPMScheduler(**SCHEDULE).alphas_cumprod, persistent=False)
        self.steps, self.lr = steps, lr

    def training_step(self, batch: LatentItem, _: int) -> Tensor:
        latents = batch["mean"] + batch["std"] * torch.randn_like(batch["std"])
        dropped = torch.rand(len(latents), 1, device=self.device) < 0.1
        tokens = torch.where(dropped, self.empty, batch["tokens"])
        steps = torch.randint(len(self.signal), (len(latents),), device=self.device)
        errors = self._errors(latents, tokens, steps, torch.randn_like(latents))
        signal = self.signal[steps]
        ratio = signal / (1 - signal)
        self.log("train/loss", errors.mean(), prog_bar=True)
        return (errors * ratio.clamp(max=5) / ratio).mean()

    def validation_step(self, batch: LatentItem, index: int) -> None:
        latents = batch["mean"]
        steps = torch.linspace(0, len(self.signal) - 1, len(latents), device=self.device).long()
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(index)).to(
            latents
        )
        self.log(
            "val/loss",
            self._errors(latents, batch["tokens"], steps, noise).mean(),
            batch_size=len(steps),
        )

    def _errors(self, latents: Tensor, tokens: Tensor, steps: Tensor, noise: Tensor) -> Tensor:
        """Mean squared error of the predicted noise, per picture."""
        signal = self.signal[steps].view(-1, 1, 1, 1)
        noisy = signal.sqrt() * latents + (1 - signal).sqrt() * noise
        with sdpa_kernel(
            SDPBackend.MATH
        ):  # the fused kernel's bfloat16 backward pass is several times slower on a CPU
            predicted = self.unet(
                noisy, steps, self.text_encoder(tokens).last_hidden_state
            ).sample.float()
        return (predicted - noise).square().mean(dim=(1, 2, 3))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(self, self.lr, self.steps)


def pipeline(
    vae: AutoencoderKL | TAEF2,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
) -> StableDiffusionPipeline:
    """The parts as a pipeline that ``StableDiffusionPipeline.from_pretrained`` opens once saved."""
    return StableDiffusionPipeline(
        vae=vae,
        unet=unet,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler=PNDMScheduler(
            **{key: value for key, value in SCHEDULE.items() if key != "clip_sample"},
            skip_prk_steps=True,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def save_half(whole: StableDiffusionPipeline, folder: Path) -> None:
    """Save a pipeline with 16-bit weights that open as 32-bit ones unless asked otherwise.

    diffusers opens its networks in float32; transformers would open the text encoder in the precision its config names.
    """
    whole.to(torch.float16).save_pretrained(folder)
    for path in folder.rglob("*.json"):
        config = json.loads(path.read_text())
        if path.parent.name == "text_encoder":
            config["dtype"] = "float32"
        config.pop(
            "_name_or_path", None
        )  # where the parts came from on this machine concerns nobody
        path.write_text(json.dumps(config, indent=2) + "\n")
