"""Contexts that make parts of a model trainable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict
from torch import Tensor, nn

ADAPTER = "attack"
"""Name of the adapter that LoRA trains."""


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
    row = nn.Parameter(table.weight[initializer_id].detach().clone().float())
    text_encoder.set_input_embeddings(_ExtendedEmbedding(table, token_id, row))
    try:
        yield [row]
    finally:
        text_encoder.set_input_embeddings(table)


@contextmanager
def lora(
    network: Any, targets: Sequence[str], rank: int, seed: int, dora: bool = False
) -> Iterator[list[nn.Parameter]]:
    """Train low-rank updates of some layers, in float32.

    Args:
        network: A denoising network of diffusers.
        targets: Ends of the layers' names.
        rank: Of the updates; their scale is 1.
        seed: Of the down-projections, N(0, 1/rank); the up-projections start at 0.
        dora: Train the magnitude of each row of a layer's weight as well (DoRA, arXiv 2402.09353).
    """
    config = LoraConfig(
        r=rank,
        lora_alpha=rank,
        init_lora_weights="gaussian",
        target_modules=list(targets),
        use_dora=dora,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network.add_adapter(config, adapter_name=ADAPTER)
    updates = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in updates:
        parameter.data = parameter.data.float()
    try:
        yield updates
    finally:
        network.unload_lora()


def lora_state(network: Any, name: str) -> dict[str, Tensor]:
    """Return the updates of :func:`lora` as ``load_lora_weights`` of diffusers reads them.

    Args:
        network: The network.
        name: Name of the network in its pipeline.
    """
    state = get_peft_model_state_dict(network, adapter_name=ADAPTER)
    return {f"{name}.{key}": value.detach().cpu().contiguous() for key, value in state.items()}


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
        words = self.table(ids.masked_fill(is_new.squeeze(-1), 0))
        return torch.where(is_new, self.word.to(words.dtype), words)
