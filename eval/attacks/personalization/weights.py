"""Learned weights in the files that diffusers opens."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from engine.files import atomic_write
from eval.attacks.attack import Attack
from eval.attacks.personalization.attack import Learned, Personalization

LORA_FILE = "pytorch_lora_weights.safetensors"
"""File name that ``load_lora_weights`` of diffusers looks for."""

TOKEN_FILE = "learned_embeds.safetensors"
"""File name that ``load_textual_inversion`` of diffusers looks for."""


def token_state(token: str, rows: list[Tensor]) -> dict[str, Tensor]:
    """Name the embeddings of a token as diffusers does.

    Args:
        token: The token, which names the embedding of a single text encoder.
        rows: Embedding in each CLIP text encoder, (1, width); of two they are named clip_l, clip_g.
    """
    names = [token] if len(rows) == 1 else ["clip_l", "clip_g"]
    return dict(zip(names, rows, strict=True))


def save_learned(learned: Learned, folder: Path) -> None:
    """Save what an attack learned, one safetensors file for each entry."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, state in learned.items():
        with atomic_write(folder / name) as partial:
            save_file(state, partial, metadata={"format": "pt"})


def check_keeps_weights(attack: Attack) -> None:
    """Refuse an attack that learns no small weights.

    Raises:
        ValueError: If it learns none, or whole networks.
    """
    if not (isinstance(attack, Personalization) and attack.keeps_weights):
        msg = (
            f"keep_weights: {type(attack).__name__} learns no LoRA and no token, and whole "
            "networks are not kept; leave it out, or choose an attack with LoRA"
        )
        raise ValueError(msg)
