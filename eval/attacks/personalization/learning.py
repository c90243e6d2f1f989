"""Contexts that make parts of a model trainable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig
from torch import Tensor, nn

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
"""Attention projections of a UNet that LoRA updates."""


@contextmanager
def new_token(
    text_encoder: Any, token_id: int, initializer_id: int
) -> Iterator[list[nn.Parameter]]:
    """Train one new row of the embedding table.

    The row starts as a copy of the initializer's. All other rows stay as they are, also under
    weight decay.

    Args:
        text_encoder: A transformers text encoder.
        token_id: Id of the new token.
        initializer_id: Id of the token whose embedding is copied.
    """
    table = text_encoder.get_input_embeddings()
    row = nn.Parameter(table.weight[initializer_id].detach().clone())
    text_encoder.set_input_embeddings(_ExtendedEmbedding(table, token_id, row))
    try:
        yield [row]
    finally:
        text_encoder.set_input_embeddings(table)


@contextmanager
def lora(unet: Any, rank: int, seed: int) -> Iterator[list[nn.Parameter]]:
    """Train low-rank updates of every attention projection.

    Args:
        unet: A diffusers UNet.
        rank: Of the updates; their scale is 1.
        seed: Of the down-projections, N(0, 1/rank); the up-projections start at 0.
    """
    config = LoraConfig(
        r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=ATTENTION
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        unet.add_adapter(config, adapter_name="attack")
    try:
        yield [parameter for parameter in unet.parameters() if parameter.requires_grad]
    finally:
        unet.unload_lora()


@contextmanager
def all_weights(*networks: nn.Module) -> Iterator[list[nn.Parameter]]:
    """Train every weight of some networks.

    The original values are kept in main memory.
    """
    saved_states = []
    parameters: list[nn.Parameter] = []
    for network in networks:
        state = network.state_dict()
        saved_states.append({key: value.to("cpu", copy=True) for key, value in state.items()})
        parameters += network.parameters()
    for parameter in parameters:
        parameter.requires_grad_(True)
    try:
        yield parameters
    finally:
        for network, state in zip(networks, saved_states, strict=True):
            network.requires_grad_(False).load_state_dict(state)


class _ExtendedEmbedding(nn.Module):
    """Frozen embedding table with one additional, trainable row."""

    def __init__(self, table: nn.Embedding, token_id: int, word: nn.Parameter) -> None:
        super().__init__()
        self.table = table
        self.token_id = token_id
        self.word = word

    @property
    def weight(self) -> Tensor:
        return self.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        is_new = (ids == self.token_id).unsqueeze(-1)
        return torch.where(is_new, self.word, self.table(ids.masked_fill(is_new.squeeze(-1), 0)))
