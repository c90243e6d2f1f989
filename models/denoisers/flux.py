"""FLUX.1: flow matching with a transformer over packed latents."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from torch import Tensor

from models.denoisers.family import Conditions, Family
from models.denoisers.latents import pack, unpack

TRAINING_GUIDANCE = 1.0
"""Guidance that a guidance-distilled network is told while it is trained.

It is that of diffusers' DreamBooth examples for FLUX.1 dev.
"""


class Flux1(Family):
    """FLUX.1 dev and schnell: a pooled CLIP embedding, and T5."""

    pipeline_class = FluxPipeline
    network_class = FluxTransformer2DModel
    clip_encoders: ClassVar[tuple[tuple[str, str], ...]] = (("text_encoder", "tokenizer"),)
    takes_negative_prompts = False
    axes = 3

    def encode(self, pipeline: Any, prompts: list[str]) -> Conditions:
        text, pooled, _ = pipeline.encode_prompt(
            prompts, prompts, device=pipeline.text_encoder.device
        )
        return {"encoder_hidden_states": text, "pooled_projections": pooled}

    def predict(
        self, network: Any, latents: Tensor, timesteps: Tensor, conditions: Conditions
    ) -> Tensor:
        height, width = latents.shape[-2:]
        tokens = pack(latents)
        guidance = None
        if network.config.guidance_embeds:
            guidance = torch.full((len(latents),), TRAINING_GUIDANCE, device=latents.device)
        output = network(
            tokens,
            timestep=timesteps / 1000,
            guidance=guidance,
            txt_ids=self.text_places(conditions["encoder_hidden_states"]),
            img_ids=self.image_places(latents),
            **conditions,
        ).sample
        return unpack(output, height, width)

    def image_places(self, latents: Tensor) -> Tensor:
        """Return row and column of each token of an image, (h/2 * w/2, axes)."""
        height, width = (side // 2 for side in latents.shape[-2:])
        rows = torch.arange(height).repeat_interleave(width)
        columns = torch.arange(width).repeat(height)
        places = torch.zeros(height * width, self.axes)
        places[:, 1], places[:, 2] = rows, columns
        return places.to(latents.device)

    def text_places(self, text: Tensor) -> Tensor:
        """Return the place of each token of a prompt, (tokens, axes): all at 0."""
        return torch.zeros(text.shape[1], self.axes, device=text.device)

    def side(self, pipeline: Any) -> int:
        return int(pipeline.default_sample_size * pipeline.vae_scale_factor)
