"""Small random IP-Adapters in the released layout."""

import torch
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

HIDDEN, PROJECTED, FACE = 16, 8, 8
"""Widths of the image encoder's tokens, of its embedding, and of a face embedding."""


def attention_weights(unet):
    """Keys and values for the image's tokens, numbered as the released files number them."""
    cross, widths = unet.config.cross_attention_dim, unet.config.block_out_channels
    weights = {}
    for number, name in enumerate(unet.attn_processors):
        if "attn2" in name:
            block = int(name.split(".")[1]) if not name.startswith("mid") else -1
            width = widths[-1 - block] if name.startswith("up") else widths[block]
            for part in ("to_k_ip", "to_v_ip"):
                weights[f"ip_adapter.{number}.{part}.weight"] = torch.randn(width, cross)
    return weights


def plain(cross):
    return {
        "proj.weight": torch.randn(4 * cross, PROJECTED),
        "proj.bias": torch.randn(4 * cross),
        "norm.weight": torch.ones(cross),
        "norm.bias": torch.zeros(cross),
    }


def face_id(cross):
    return {
        "proj.0.weight": torch.randn(2 * FACE, FACE),
        "proj.0.bias": torch.randn(2 * FACE),
        "proj.2.weight": torch.randn(4 * cross, 2 * FACE),
        "proj.2.bias": torch.randn(4 * cross),
        "norm.weight": torch.ones(cross),
        "norm.bias": torch.zeros(cross),
    }


def plus(cross):
    """Resampler of four layers with one head of 64."""
    shapes = {
        "latents": (1, 4, HIDDEN),
        "proj_in.weight": (HIDDEN, HIDDEN),
        "proj_in.bias": (HIDDEN,),
        "proj_out.weight": (cross, HIDDEN),
        "proj_out.bias": (cross,),
        "norm_out.weight": (cross,),
        "norm_out.bias": (cross,),
    }
    for layer in range(4):
        attention, forward = f"layers.{layer}.0", f"layers.{layer}.1"
        shapes |= {
            f"{attention}.to_q.weight": (64, HIDDEN),
            f"{attention}.to_kv.weight": (128, HIDDEN),
            f"{attention}.to_out.weight": (HIDDEN, 64),
            f"{forward}.1.weight": (4 * HIDDEN, HIDDEN),
            f"{forward}.3.weight": (HIDDEN, 4 * HIDDEN),
        }
        for norm in (f"{attention}.norm1", f"{attention}.norm2", f"{forward}.0"):
            shapes |= {f"{norm}.weight": (HIDDEN,), f"{norm}.bias": (HIDDEN,)}
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def save_adapters(folder, unet):
    """Write three adapters, and the image encoder of two, as they are released."""
    cross = unet.config.cross_attention_dim
    (folder / "models").mkdir()
    for name, build in (
        ("models/ip-adapter", plain),
        ("models/ip-adapter-plus", plus),
        ("ip-adapter-faceid", face_id),
    ):
        projection = {f"image_proj.{key}": value for key, value in build(cross).items()}
        save_file(projection | attention_weights(unet), folder / f"{name}.safetensors")
    config = CLIPVisionConfig(
        hidden_size=HIDDEN,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=PROJECTED,
        image_size=32,
        patch_size=16,
    )
    CLIPVisionModelWithProjection(config).save_pretrained(folder / "models" / "image_encoder")
