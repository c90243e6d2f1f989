"""Stable Diffusion 3 and 3.5: flow matching with a transformer (arXiv 2403.03206)."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import SD3Transformer2DModel, StableDiffusion3Pipeline
from torch import Tensor

from checkpoints.folders import read_config
from models.denoisers.family import Conditions, Family
from models.denoisers.joint_attention import attend_to_repeated_tokens
from models.denoisers.latents import check_even

TOKENS = 256
"""Number of tokens from T5; without it, of zeros that diffusers appends to a prompt."""


class StableDiffusion3(Family):
    """Stable Diffusion 3 and 3.5: two CLIP text encoders and T5.

    A repository without T5 is taken as diffusers takes it: zeros stand for T5's output. One of
    these equal tokens is passed on, and counts as all of them.
    """

    pipeline_class = StableDiffusion3Pipeline
    network_class = SD3Transformer2DModel
    clip_encoders = (("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2"))

    def encode(self, pipeline: Any, prompts: list[str]) -> Conditions:
        absent = pipeline.text_encoder_3 is None
        text, _, pooled, _ = pipeline.encode_prompt(
            prompts,
            prompts,
            prompts,
            device=pipeline.text_encoder.device,
            do_classifier_free_guidance=False,
            max_sequence_length=1 if absent else TOKENS,
        )
        conditions = {"encoder_hidden_states": text, "pooled_projections": pooled}
        if absent:
            counts = torch.full((len(prompts),), float(TOKENS), device=text.device)
            conditions["last_token_count"] = counts
        return conditions

    def without_images(self) -> dict[str, Any]:
        # The zeros in place of T5's output are as wide as the network's settings say.
        with torch.device("meta"):
            network = SD3Transformer2DModel.from_config(read_config(self.folder / self.network))
        return super().without_images() | {self.network: network}

    def predict(
        self, network: Any, latents: Tensor, timesteps: Tensor, conditions: Conditions
    ) -> Tensor:
        check_even(latents)
        return run_network(network, latents, timesteps, conditions)

    def side(self, pipeline: Any) -> int:
        return int(pipeline.transformer.config.sample_size * pipeline.vae_scale_factor)


def run_network(network: Any, latents: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:
    """Predict velocities; see :meth:`StableDiffusion3.predict`.

    ``last_token_count`` of the conditions, (B,), says how often the last text token counts.
    """
    inputs: dict[str, Any] = dict(conditions)
    if (count := inputs.pop("last_token_count", None)) is not None:
        attend_to_repeated_tokens(network)
        inputs["joint_attention_kwargs"] = {"last_token_count": count}
    output: Tensor = network(latents, timestep=timesteps, **inputs).sample
    return output
