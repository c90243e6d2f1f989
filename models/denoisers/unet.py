"""Latent diffusion with a UNet: Stable Diffusion 1.x and 2.x, and SDXL."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from torch import Tensor

from checkpoints.folders import read_config
from models.denoisers.family import ATTENTION, Conditions, Family


class StableDiffusion(Family):
    """Stable Diffusion 1.x and 2.x: a UNet and one CLIP text encoder."""

    pipeline_class = StableDiffusionPipeline
    network_class = UNet2DConditionModel
    network = "unet"
    lora_targets = ATTENTION
    clip_encoders: ClassVar[tuple[tuple[str, str], ...]] = (("text_encoder", "tokenizer"),)

    def encode(self, pipeline: Any, prompts: list[str]) -> Conditions:
        ids = tokenize(pipeline.tokenizer, prompts).to(pipeline.text_encoder.device)
        return {"encoder_hidden_states": pipeline.text_encoder(ids).last_hidden_state}

    def predict(
        self, network: Any, latents: Tensor, timesteps: Tensor, conditions: Conditions
    ) -> Tensor:
        output: Tensor = network(latents, timesteps, **conditions).sample
        return output

    def side(self, pipeline: Any) -> int:
        return int(pipeline.unet.config.sample_size * pipeline.vae_scale_factor)


class StableDiffusionXL(StableDiffusion):
    """SDXL: a UNet that is told the image's size, and two CLIP text encoders (arXiv 2307.01952)."""

    pipeline_class = StableDiffusionXLPipeline
    clip_encoders = (("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2"))

    def __init__(self, folder: Path | str) -> None:
        super().__init__(folder)
        levels = read_config(self.folder / "vae")["block_out_channels"]
        self.stride = 2 ** (len(levels) - 1)

    def encode(self, pipeline: Any, prompts: list[str]) -> Conditions:
        text, _, pooled, _ = pipeline.encode_prompt(
            prompts, device=pipeline.text_encoder.device, do_classifier_free_guidance=False
        )
        return {"encoder_hidden_states": text, "text_embeds": pooled}

    def predict(
        self, network: Any, latents: Tensor, timesteps: Tensor, conditions: Conditions
    ) -> Tensor:
        text, pooled = conditions["encoder_hidden_states"], conditions["text_embeds"]
        height, width = (self.stride * side for side in latents.shape[-2:])
        # original size, crop corner, target size
        sizes = torch.tensor([[height, width, 0, 0, height, width]])
        added = {
            "text_embeds": pooled,
            "time_ids": sizes.to(text.device, text.dtype).repeat(len(latents), 1),
        }
        return network(latents, timesteps, text, added_cond_kwargs=added).sample


def tokenize(tokenizer: Any, prompts: list[str]) -> Tensor:
    """Return prompts' token ids, padded to the tokenizer's length, (prompts, tokens)."""
    ids: Tensor = tokenizer(
        prompts,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    return ids
