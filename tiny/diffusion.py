"""Training of the toy latent-diffusion pipelines: a UNet and its text encoder."""

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
    DiffusionPipeline,
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
from tiny.folder import CaptionedImages
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
"""Length of a tokenized caption."""


class LatentItem(TypedDict):
    """An encoded image.

    ``mean`` and ``std`` of the scaled posterior are (C, h, w), ``tokens`` of the caption
    (CAPTION_TOKENS,).
    """

    mean: Tensor
    std: Tensor
    tokens: Tensor


@dataclass
class LatentDataset(Dataset[LatentItem]):
    """Images encoded once.

    Attributes:
        mean: Means of the scaled posteriors, (N, C, h, w).
        std: Standard deviations of the scaled posteriors, (N, C, h, w).
        tokens: Tokens of the captions, (N, CAPTION_TOKENS).
    """

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
        portraits: PortraitDataset | CaptionedImages,
        vae: AutoencoderKL | TAEF2,
        tokenizer: CLIPTokenizer,
        batch: int = 32,
    ) -> LatentDataset:
        """Draw or read, encode and tokenize all images.

        Args:
            portraits: N images with captions.
            vae: Autoencoder.
            tokenizer: Tokenizer of the captions.
            batch: Images encoded at once.
        """
        means = []
        stds = []
        captions = []
        for start in range(0, len(portraits), batch):
            items = portraits.__getitems__(list(range(start, min(start + batch, len(portraits)))))
            images = torch.stack([item["image"] for item in items])
            posterior = vae.encode(images * 2 - 1).latent_dist
            means.append(posterior.mean * vae.config.scaling_factor)
            stds.append(posterior.std * vae.config.scaling_factor)
            captions += [item["caption"] for item in items]
        return cls(torch.cat(means), torch.cat(stds), tokenize(tokenizer, captions))


def build_tokenizer(captions: list[str], size: int = 600) -> CLIPTokenizer:
    """Train a CLIP tokenizer with a small vocabulary on captions.

    Other text is spelled letter by letter.
    """
    alphabet = list(string.ascii_lowercase + string.digits + string.punctuation)
    texts = [*captions, "photo of a sks person", *alphabet]
    tokenizer = CLIPTokenizer().train_new_from_iterator(
        texts, vocab_size=size, initial_alphabet=alphabet
    )
    tokenizer.model_max_length = CAPTION_TOKENS
    return tokenizer


def tokenize(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Tokenize captions to ids, (N, CAPTION_TOKENS)."""
    return tokenizer(
        captions,
        padding="max_length",
        max_length=CAPTION_TOKENS,
        truncation=True,
        return_tensors="pt",
    ).input_ids


def build_text_encoder(tokenizer: CLIPTokenizer, width: int, layers: int) -> CLIPTextModel:
    """Build an untrained CLIP text encoder with token embeddings of unit variance.

    The library initializes tokens and positions at the same small scale; at this size the tokens
    were then never attended to.

    Args:
        tokenizer: Tokenizer with the vocabulary.
        width: Width of the hidden states.
        layers: Number of layers.
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
    """Build an untrained text-conditioned UNet.

    Args:
        latent_channels: Channels of the latents.
        side: Height and width of the latents.
        channels: Widths by level.
        text_width: Width of the text encoder's hidden states.
        head_width: Width of an attention head.
    """
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
        # A pooled caption is added to the timestep: cross-attention alone learns too slowly here.
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )


class DiffusionTask(LightningModule):
    """Train noise prediction on cached latents with min-SNR-5 weights (arXiv 2303.09556).

    One caption in ten is replaced by the empty one, for classifier-free guidance.

    Args:
        unet: Denoiser.
        text_encoder: Text encoder, trained with the denoiser.
        empty: Tokens of the empty caption, (CAPTION_TOKENS,).
        steps: Length of the one-cycle schedule, in optimizer steps.
        lr: Peak learning rate.
    """

    empty: Tensor
    alphas_cumprod: Tensor

    def __init__(
        self,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        empty: Tensor,
        steps: int,
        lr: float,
    ) -> None:
        super().__init__()
        self.unet = unet
        self.text_encoder = text_encoder
        self.steps = steps
        self.lr = lr
        alphas_cumprod = DDPMScheduler(**SCHEDULE).alphas_cumprod
        self.register_buffer("empty", empty, persistent=False)
        self.register_buffer("alphas_cumprod", alphas_cumprod, persistent=False)

    def training_step(self, batch: LatentItem, _: int) -> Tensor:
        latents = batch["mean"] + batch["std"] * torch.randn_like(batch["std"])
        dropped = torch.rand(len(latents), 1, device=self.device) < 0.1
        tokens = torch.where(dropped, self.empty, batch["tokens"])
        timesteps = torch.randint(len(self.alphas_cumprod), (len(latents),), device=self.device)
        errors = self._errors(latents, tokens, timesteps, torch.randn_like(latents))
        alphas_cumprod = self.alphas_cumprod[timesteps]
        snr = alphas_cumprod / (1 - alphas_cumprod)
        self.log("train/loss", errors.mean(), prog_bar=True)
        return (errors * snr.clamp(max=5) / snr).mean()

    def validation_step(self, batch: LatentItem, index: int) -> None:
        latents = batch["mean"]
        last = len(self.alphas_cumprod) - 1
        timesteps = torch.linspace(0, last, len(latents), device=self.device).long()
        generator = torch.Generator().manual_seed(index)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        errors = self._errors(latents, batch["tokens"], timesteps, noise)
        self.log("val/loss", errors.mean(), batch_size=len(latents))

    def _errors(self, latents: Tensor, tokens: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """Return the mean squared error of the predicted noise per image, (B,)."""
        alphas_cumprod = self.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        noisy = alphas_cumprod.sqrt() * latents + (1 - alphas_cumprod).sqrt() * noise
        # The fused kernel's bfloat16 backward pass is several times slower on a CPU.
        with sdpa_kernel(SDPBackend.MATH):
            text = self.text_encoder(tokens).last_hidden_state
            predicted = self.unet(noisy, timesteps, text).sample.float()
        return (predicted - noise).square().mean(dim=(1, 2, 3))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(self, self.lr, self.steps)


def pipeline(
    vae: AutoencoderKL | TAEF2,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
) -> StableDiffusionPipeline:
    """Assemble a Stable Diffusion pipeline.

    Args:
        vae: Autoencoder.
        unet: Denoiser.
        text_encoder: Text encoder.
        tokenizer: Tokenizer.
    """
    schedule = {key: value for key, value in SCHEDULE.items() if key != "clip_sample"}
    return StableDiffusionPipeline(
        vae=vae,
        unet=unet,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler=PNDMScheduler(**schedule, skip_prk_steps=True),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def save_half(pipe: DiffusionPipeline, folder: Path) -> None:
    """Save a pipeline in float16; it loads in float32 by default.

    diffusers loads networks in float32. transformers loads text encoders in the precision of their
    config, so that is set to float32.
    """
    pipe.to(torch.float16).save_pretrained(folder)
    for path in folder.rglob("*.json"):
        config = json.loads(path.read_text())
        if path.parent.name.startswith("text_encoder"):
            config["dtype"] = "float32"
        # Paths of this machine do not belong into the model.
        config.pop("_name_or_path", None)
        path.write_text(json.dumps(config, indent=2) + "\n")
