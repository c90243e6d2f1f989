"""Training of the toy IP-Adapter: an image encoder, and attention to its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import Dataset
from torchvision.transforms.functional import normalize
from transformers import CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from tiny.diffusion import SCHEDULE, LatentDataset
from tiny.schedule import one_cycle

WEIGHTS = "models/ip-adapter_sd15.safetensors"
"""Place of the adapter's weights in its folder, as released."""

ENCODER = "models/image_encoder"
"""Place of the image encoder in the adapter's folder, as released."""

TOKENS = 4
"""Tokens of an image, as of the plain IP-Adapter."""

DROPPED = 0.1
"""Share of captions, and of images, that are left out for classifier-free guidance."""

PLAIN = 0.5
"""Share of captions replaced by one that names no attribute, so that the image must tell them."""


class ReferenceItem(TypedDict):
    """An encoded portrait, and another portrait of the same person.

    ``mean`` and ``std`` are of the scaled posterior, ``tokens`` of the caption, and ``reference``
    is the other portrait, (3, S, S) uint8.
    """

    mean: Tensor
    std: Tensor
    tokens: Tensor
    reference: Tensor


@dataclass
class ReferencePairs(Dataset[ReferenceItem]):
    """Encoded portraits, each with a random other one of the same person.

    The adapter so learns the person, not the picture.

    Attributes:
        latents: Encoded portraits, those of a person one after another.
        images: The portraits, (N, 3, S, S) uint8.
        per_person: Number of each person's portraits, at least 2.
    """

    latents: LatentDataset
    images: Tensor
    per_person: int

    def __len__(self) -> int:
        return len(self.latents)

    def __getitem__(self, index: int) -> ReferenceItem:
        person, own = divmod(index, self.per_person)
        other = (own + 1 + int(torch.randint(self.per_person - 1, (1,)))) % self.per_person
        reference = self.images[person * self.per_person + other]
        return ReferenceItem(**self.latents[index], reference=reference)


def build_encoder(side: int, width: int, layers: int) -> CLIPVisionModelWithProjection:
    """Build an untrained image encoder.

    Args:
        side: Height and width of its images.
        width: Width of its tokens and of its embedding, a multiple of 4.
        layers: Number of layers.
    """
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            projection_dim=width,
            image_size=side,
            patch_size=8,
        )
    )


def initial_weights(unet: UNet2DConditionModel, width: int) -> dict[str, dict[str, Tensor]]:
    """Build an untrained adapter in the released layout.

    Keys and values of the image's tokens start as those of the text's, as published.

    Args:
        unet: Denoiser that the adapter is for.
        width: Width of the image's embedding.
    """
    cross = unet.config.cross_attention_dim
    projection = nn.Linear(width, TOKENS * cross)
    state = unet.state_dict()
    attention = {}
    for number, name in enumerate(unet.attn_processors):
        if name.endswith("attn2.processor"):
            layer = name.removesuffix(".processor")
            for part in ("to_k", "to_v"):
                attention[f"{number}.{part}_ip.weight"] = state[f"{layer}.{part}.weight"].clone()
    image = {
        "proj.weight": projection.weight.detach(),
        "proj.bias": projection.bias.detach(),
        "norm.weight": torch.ones(cross),
        "norm.bias": torch.zeros(cross),
    }
    return {"image_proj": image, "ip_adapter": attention}


def trained_weights(unet: Any) -> dict[str, Tensor]:
    """Collect the adapter's weights from a UNet, in the released layout."""
    weights = {}
    for name, value in unet.encoder_hid_proj.image_projection_layers[0].state_dict().items():
        weights[f"image_proj.{name.replace('image_embeds', 'proj')}"] = value
    for number, processor in enumerate(unet.attn_processors.values()):
        if hasattr(processor, "to_k_ip"):
            weights[f"ip_adapter.{number}.to_k_ip.weight"] = processor.to_k_ip[0].weight
            weights[f"ip_adapter.{number}.to_v_ip.weight"] = processor.to_v_ip[0].weight
    return {name: value.detach().half().contiguous() for name, value in weights.items()}


class AdapterTask(LightningModule):
    """Train the adapter by the denoising loss (arXiv 2308.06721); the pipeline stays frozen.

    Args:
        unet: Denoiser with an adapter.
        text_encoder: Its text encoder.
        encoder: Image encoder, trained with the adapter.
        empty: Tokens of the empty caption, (CAPTION_TOKENS,).
        plain: Tokens of a caption that names no attribute, (CAPTION_TOKENS,).
        steps: Length of the one-cycle schedule, in optimizer steps.
        lr: Peak learning rate.
    """

    empty: Tensor
    plain: Tensor
    alphas_cumprod: Tensor

    def __init__(
        self,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        encoder: CLIPVisionModelWithProjection,
        empty: Tensor,
        plain: Tensor,
        steps: int,
        lr: float,
    ) -> None:
        super().__init__()
        self.unet = unet.requires_grad_(False)
        self.text_encoder = text_encoder.requires_grad_(False)
        self.encoder = encoder
        self.unet.encoder_hid_proj.requires_grad_(True)
        for processor in self.unet.attn_processors.values():
            if isinstance(processor, nn.Module):
                processor.requires_grad_(True)
        self.steps = steps
        self.lr = lr
        alphas_cumprod = DDPMScheduler(**SCHEDULE).alphas_cumprod
        self.register_buffer("empty", empty, persistent=False)
        self.register_buffer("plain", plain, persistent=False)
        self.register_buffer("alphas_cumprod", alphas_cumprod, persistent=False)

    def training_step(self, batch: ReferenceItem, _: int) -> Tensor:
        latents = batch["mean"] + batch["std"] * torch.randn_like(batch["std"])
        count = len(latents)
        draw = torch.rand(count, 1, device=self.device)
        tokens = torch.where(draw < DROPPED + PLAIN, self.plain, batch["tokens"])
        tokens = torch.where(draw < DROPPED, self.empty, tokens)
        kept = (torch.rand(count, 1, device=self.device) >= DROPPED).float()
        timesteps = torch.randint(len(self.alphas_cumprod), (count,), device=self.device)
        noise = torch.randn_like(latents)
        image = kept * self.embed(batch["reference"])
        loss = self._errors(latents, tokens, image, timesteps, noise).mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: ReferenceItem, index: int) -> None:
        latents = batch["mean"]
        last = len(self.alphas_cumprod) - 1
        timesteps = torch.linspace(0, last, len(latents), device=self.device).long()
        generator = torch.Generator().manual_seed(index)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        tokens = self.plain.expand(len(latents), -1)
        image = self.embed(batch["reference"])
        for name, given in (("val/loss", image), ("val/loss_without", torch.zeros_like(image))):
            errors = self._errors(latents, tokens, given, timesteps, noise)
            self.log(name, errors.mean(), batch_size=len(latents))

    def embed(self, references: Tensor) -> Tensor:
        """Embed portraits (B, 3, S, S) uint8 as (B, D)."""
        pixels = normalize(references.float() / 255, OPENAI_CLIP_MEAN, OPENAI_CLIP_STD)
        return self.encoder(pixels).image_embeds.float()

    def _errors(
        self, latents: Tensor, tokens: Tensor, image: Tensor, timesteps: Tensor, noise: Tensor
    ) -> Tensor:
        """Return the mean squared error of the predicted noise per image, (B,)."""
        alphas_cumprod = self.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        noisy = alphas_cumprod.sqrt() * latents + (1 - alphas_cumprod).sqrt() * noise
        added = {"image_embeds": [image.unsqueeze(1)]}
        # The fused kernel's bfloat16 backward pass is several times slower on a CPU.
        with sdpa_kernel(SDPBackend.MATH):
            text = self.text_encoder(tokens).last_hidden_state
            output = self.unet(noisy, timesteps, text, added_cond_kwargs=added)
        return (output.sample.float() - noise).square().mean(dim=(1, 2, 3))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(self, self.lr, self.steps)


def save_adapter(
    unet: UNet2DConditionModel, encoder: CLIPVisionModelWithProjection, folder: Path
) -> None:
    """Save the adapter and its image encoder in float16, as IP-Adapters are released.

    Args:
        unet: Denoiser with the adapter.
        encoder: Image encoder.
        folder: Folder to write to.
    """
    (folder / ENCODER).mkdir(parents=True, exist_ok=True)
    save_file(trained_weights(unet), folder / WEIGHTS)
    encoder.half().save_pretrained(folder / ENCODER)
