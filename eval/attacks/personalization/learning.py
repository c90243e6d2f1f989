"""What an attack may learn, each as a context in which it is trainable and after which the model is as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig
from torch import Tensor, nn

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
"""The projections of every attention of a UNet that LoRA updates."""


@contextmanager
def new_word(text_encoder: Any, token_id: int, initializer_id: int) -> Iterator[list[nn.Parameter]]:
    """One new row of the embedding table, starting as another's copy; every other row stays as it is, weight decay included."""
    table = text_encoder.get_input_embeddings()
    word = nn.Parameter(table.weight[initializer_id].detach().clone())
    text_encoder.set_input_embeddings(_OneNewWord(table, token_id, word))
    try:
        yield [word]
    finally:
        text_encoder.set_input_embeddings(table)


@contextmanager
def lora(unet: Any, rank: int, seed: int) -> Iterator[list[nn.Parameter]]:
    """Low-rank updates of every attention projection: down-projections N(0, 1/rank), up-projections 0, scale 1."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        unet.add_adapter(
            LoraConfig(
                r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=ATTENTION
            ),
            adapter_name="attack",
        )
    try:
        yield [parameter for parameter in unet.parameters() if parameter.requires_grad]
    finally:
        unet.unload_lora()


@contextmanager
def everything(*networks: nn.Module) -> Iterator[list[nn.Parameter]]:
    """Every weight of some networks; the untouched values wait in main memory."""
    saved = [
        {key: value.to("cpu", copy=True) for key, value in network.state_dict().items()}
        for network in networks
    ]
    parameters = [parameter for network in networks for parameter in network.parameters()]
    for parameter in parameters:
        parameter.requires_grad_(True)
    try:
        yield parameters
    finally:
        for network, state in zip(networks, saved, strict=True):
            network.requires_grad_(False).load_state_dict(state)


class _OneNewWord(nn.Module):
    """A frozen embedding table with one extra, trainable row."""

    def __init__(self, table: nn.Embedding, token_id: int, word: nn.Parameter) -> None:
        super().__init__()
        self.table, self.token_id, self.word = table, token_id, word

    @property
    def weight(self) -> Tensor:
        return self.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        new = (ids == self.token_id).unsqueeze(-1)
        return torch.where(new, self.word, self.table(ids.masked_fill(new.squeeze(-1), 0)))
