"""Surrogates: latent diffusion models in place of an attacker's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import AutoTokenizer, CLIPTextModel

from checkpoints.whole import explaining_load_errors


@dataclass
class Surrogate:
    """One latent diffusion model of an ensemble.

    Attributes:
        name: Pipeline folder or Hub id.
        unet: The frozen UNet.
        encoder: Index of its VAE encoder in :attr:`DiffusionEnsemble.encoders`.
        scaling_factor: The VAE's latent scale.
        shift_factor: The VAE's latent shift.
        alphas_cumprod: Cumulative alphas of the noise schedule, (timesteps,).
        prediction_type: ``epsilon`` or ``v_prediction``.
        prompt_embeds: Embedding of the constant prompt, (1, tokens, width).
    """

    name: str
    unet: UNet2DConditionModel
    encoder: int
    scaling_factor: float
    shift_factor: float
    alphas_cumprod: Tensor
    prediction_type: str
    prompt_embeds: Tensor


def embed_prompt(folder: str, prompt: str) -> Tensor:
    """Embed a prompt with a pipeline's tokenizer and text encoder.

    Returns:
        (1, tokens, width) float32.
    """
    with explaining_load_errors(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, subfolder="tokenizer")
        text_encoder = CLIPTextModel.from_pretrained(
            folder,
            subfolder="text_encoder",
            dtype=torch.float32,
        ).eval()
    with torch.no_grad():
        return text_encoder(tokenize(tokenizer, prompt)).last_hidden_state


def tokenize(tokenizer: Any, prompt: str) -> Tensor:
    """Return a prompt's token ids, padded to the tokenizer's length, (1, tokens)."""
    return tokenizer(
        prompt,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
