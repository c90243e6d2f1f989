"""Joint attention of image and text in which one text token may stand for many equal ones."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention, JointAttnProcessor2_0
from torch import Tensor, nn


class RepeatedTokenAttention(JointAttnProcessor2_0):
    """Attention of Stable Diffusion 3 that may count the last text token more than once.

    Text tokens have no places in the transformer. So equal ones stay equal from block to block, and
    one of them weighs as much as n with log(n) added to its attention scores.
    """

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        last_token_count: Tensor | None = None,
    ) -> Any:
        """Attend to image and text.

        Args:
            attn: Layer with the projections.
            hidden_states: Tokens of the image, (B, n, width).
            encoder_hidden_states: Tokens of the text, (B, m, width); None for the image alone.
            attention_mask: Always None; the layer passes it on.
            last_token_count: How often the last text token counts, (B,); None for once.

        Returns:
            Tokens of the image, and those of the text if there are any, same shapes.
        """
        if last_token_count is None or encoder_hidden_states is None:
            return super().__call__(attn, hidden_states, encoder_hidden_states)

        def heads(image: Tensor, text: Tensor) -> list[Tensor]:
            return [part.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for part in (image, text)]

        image, text = hidden_states, encoder_hidden_states
        queries = heads(attn.to_q(image), attn.add_q_proj(text))
        keys = heads(attn.to_k(image), attn.add_k_proj(text))
        values = heads(attn.to_v(image), attn.add_v_proj(text))
        query = _normed(queries, attn.norm_q, attn.norm_added_q)
        key = _normed(keys, attn.norm_k, attn.norm_added_k)
        value = torch.cat(values, dim=2)
        bias = query.new_zeros(len(query), 1, 1, key.shape[2])
        bias[..., -1] = last_token_count.to(bias).log().view(-1, 1, 1)
        attended = F.scaled_dot_product_attention(query, key, value.to(query), attn_mask=bias)
        attended = attended.transpose(1, 2).flatten(2)
        image, text = attended.tensor_split([image.shape[1]], dim=1)
        if not attn.context_pre_only:
            text = attn.to_add_out(text)
        return attn.to_out[0](image), text


def _normed(parts: list[Tensor], of_image: nn.Module | None, of_text: nn.Module | None) -> Tensor:
    """Normalize image and text tokens where the layer does, and join them."""
    normed = []
    for part, norm in zip(parts, (of_image, of_text), strict=True):
        normed.append(part if norm is None else norm(part))
    return torch.cat(normed, dim=2)


def attend_to_repeated_tokens(network: Any) -> None:
    """Give a transformer of Stable Diffusion 3 this attention, in place, if it has another."""
    # all layers have one kind; to list them takes a while in a hot loop
    if not isinstance(network.transformer_blocks[0].attn.processor, RepeatedTokenAttention):
        network.set_attn_processor(RepeatedTokenAttention())
