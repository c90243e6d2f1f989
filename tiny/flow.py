"""Training of the toy flow-matching pipeline: a transformer of Stable Diffusion 3's kind."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from diffusers.models.attention import JointTransformerBlock
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from models.denoisers.family import Conditions
from models.denoisers.sd3 import TOKENS, run_network
from models.taef2 import TAEF2
from tiny.diffusion import LatentItem, build_text_encoder
from tiny.schedule import one_cycle


def build_text_encoders(
    tokenizer: CLIPTokenizer, widths: Sequence[int]
) -> list[CLIPTextModelWithProjection]:
    """Build untrained CLIP text encoders of two layers; see :func:`build_text_encoder`.

    Args:
        tokenizer: Tokenizer with the vocabulary.
        widths: Width of each encoder's hidden states.
    """
    encoders = []
    for width in widths:
        config = build_text_encoder(tokenizer, width, layers=2).config
        encoder = CLIPTextModelWithProjection(config)
        nn.init.normal_(encoder.get_input_embeddings().weight)
        encoders.append(encoder)
    return encoders


def build_transformer(
    latent_channels: int, side: int, width: int, layers: int, text_width: int
) -> SD3Transformer2DModel:
    """Build an untrained multimodal diffusion transformer (arXiv 2403.03206).

    Each block starts as the identity (adaLN-Zero, arXiv 2212.09748). Patches are single latents:
    2 x 2 would leave 16 tokens of an image of 64 pixels.

    Args:
        latent_channels: Channels of the latents.
        side: Height and width of the latents.
        width: Width of the blocks, a multiple of 32.
        layers: Number of blocks.
        text_width: Width of the text encoders' hidden states together, and of their pooled ones.
    """
    network = SD3Transformer2DModel(
        sample_size=side,
        patch_size=1,
        in_channels=latent_channels,
        out_channels=latent_channels,
        num_layers=layers,
        attention_head_dim=32,
        num_attention_heads=width // 32,
        joint_attention_dim=text_width,
        caption_projection_dim=width,
        pooled_projection_dim=text_width,
        pos_embed_max_size=side,
        qk_norm="rms_norm",
    )
    starts = [network.norm_out.linear, network.proj_out]
    for block in network.transformer_blocks:
        assert isinstance(block, JointTransformerBlock)
        starts += [block.norm1.linear, block.norm1_context.linear]
    for layer in starts:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    return network


class FlowTask(LightningModule):
    """Train rectified flow on cached latents (arXiv 2403.03206).

    Times have a logit-normal density, and the network predicts the velocity from latents to noise.
    One caption in ten is replaced by the empty one, for classifier-free guidance.

    Args:
        transformer: Denoiser.
        text_encoders: The two CLIP text encoders, trained with the denoiser.
        empty: Tokens of the empty caption, (CAPTION_TOKENS,).
        steps: Length of the one-cycle schedule, in optimizer steps.
        lr: Peak learning rate.
    """

    empty: Tensor

    def __init__(
        self,
        transformer: SD3Transformer2DModel,
        text_encoders: Sequence[CLIPTextModelWithProjection],
        empty: Tensor,
        steps: int,
        lr: float,
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.text_encoders = nn.ModuleList(text_encoders)
        self.steps = steps
        self.lr = lr
        self.register_buffer("empty", empty, persistent=False)

    def training_step(self, batch: LatentItem, _: int) -> Tensor:
        latents = batch["mean"] + batch["std"] * torch.randn_like(batch["std"])
        dropped = torch.rand(len(latents), 1, device=self.device) < 0.1
        tokens = torch.where(dropped, self.empty, batch["tokens"])
        times = torch.randn(len(latents), device=self.device).sigmoid()
        loss = self.loss(latents, tokens, times, torch.randn_like(latents))
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: LatentItem, index: int) -> None:
        latents = batch["mean"]
        times = torch.linspace(0, 1, len(latents) + 2, device=self.device)[1:-1]
        generator = torch.Generator().manual_seed(index)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        loss = self.loss(latents, batch["tokens"], times, noise)
        self.log("val/loss", loss, batch_size=len(latents))

    def loss(self, latents: Tensor, tokens: Tensor, times: Tensor, noise: Tensor) -> Tensor:
        """Return the mean squared error of the velocity at times (B,) in (0, 1)."""
        share = times.view(-1, 1, 1, 1)
        noisy = (1 - share) * latents + share * noise
        # The fused kernel's bfloat16 backward pass is several times slower on a CPU.
        with sdpa_kernel(SDPBackend.MATH):
            velocity = run_network(self.transformer, noisy, 1000 * times, self.encode(tokens))
        return (velocity.float() - (noise - latents)).square().mean()

    def encode(self, tokens: Tensor) -> Conditions:
        """Encode captions as :class:`models.denoisers.sd3.StableDiffusion3` does without T5."""
        outputs = [encoder(tokens, output_hidden_states=True) for encoder in self.text_encoders]
        text = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
        pooled = torch.cat([output.text_embeds for output in outputs], dim=-1)
        return {
            "encoder_hidden_states": F.pad(text, (0, 0, 0, 1)),
            "pooled_projections": pooled,
            "last_token_count": pooled.new_full(pooled.shape[:1], TOKENS),
        }

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(self, self.lr, self.steps)


def flow_pipeline(
    vae: AutoencoderKL | TAEF2,
    transformer: SD3Transformer2DModel,
    text_encoders: Sequence[CLIPTextModelWithProjection],
    tokenizer: CLIPTokenizer,
) -> StableDiffusion3Pipeline:
    """Assemble a Stable Diffusion 3 pipeline without T5.

    Args:
        vae: Autoencoder.
        transformer: Denoiser.
        text_encoders: The two CLIP text encoders.
        tokenizer: Tokenizer of both.
    """
    # The pipeline adds the shift to latents, and takes no None for it.
    vae.register_to_config(shift_factor=vae.config.shift_factor or 0.0)
    first, second = text_encoders
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae,
        text_encoder=first,
        tokenizer=tokenizer,
        text_encoder_2=second,
        tokenizer_2=tokenizer,
        text_encoder_3=None,
        tokenizer_3=None,
    )
