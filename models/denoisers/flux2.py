"""FLUX.2: FLUX's transformer over latents of another scale, with a language model's text."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from diffusers import Flux2KleinPipeline, Flux2Pipeline, Flux2Transformer2DModel
from torch import Tensor

from models.denoisers.family import JOINT_ATTENTION, Conditions
from models.denoisers.flux import Flux1


class Flux2(Flux1):
    """FLUX.2 dev: text by Mistral, latents by a new autoencoder.

    LoRA also updates the single blocks' projection, which is fused with their feed-forward layer.
    """

    pipeline_class: ClassVar[Any] = Flux2Pipeline
    network_class = Flux2Transformer2DModel
    lora_targets = (*JOINT_ATTENTION, "attn.to_qkv_mlp_proj")
    clip_encoders = ()
    text_dtype = torch.bfloat16  # a model of 24 billion parameters
    axes = 4

    def encode(self, pipeline: Any, prompts: list[str]) -> Conditions:
        text, _ = pipeline.encode_prompt(prompts, device=pipeline.text_encoder.device)
        return {"encoder_hidden_states": text}

    def text_places(self, text: Tensor) -> Tensor:
        """Return the place of each token of a prompt, (tokens, axes): its number."""
        places = super().text_places(text)
        places[:, 3] = torch.arange(len(places))
        return places


class Flux2Klein(Flux2):
    """FLUX.2 klein: text by Qwen3."""

    pipeline_class = Flux2KleinPipeline
