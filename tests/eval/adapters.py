"""Small random IP-Adapters in the released layout."""

import torch
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

HIDDEN, PROJECTED, FACE = 16, 8, 8
"""Widths of the image encoder's tokens, of its embedding, and of a face embedding."""


def width_of(unet, name):
    """Width of the block of an attention processor."""
    widths = unet.config.block_out_channels
    block = int(name.split(".")[1]) if not name.startswith("mid") else -1
    return widths[-1 - block] if name.startswith("up") else widths[block]


def attention_weights(unet):
    """Keys and values for the image's tokens, numbered as the released files number them."""
    weights = {}
    for number, name in enumerate(unet.attn_processors):
        if "attn2" in name:
            for part in ("to_k_ip", "to_v_ip"):
                shape = (width_of(unet, name), unet.config.cross_attention_dim)
                weights[f"{number}.{part}.weight"] = torch.randn(shape)
    return weights


def lora_weights(unet):
    """Updates of all attention that change nothing, as FaceID's file has them."""
    weights = {}
    for number, name in enumerate(unet.attn_processors):
        width = width_of(unet, name)
        of_text = unet.config.cross_attention_dim if "attn2" in name else width
        for part, inputs in (("q", width), ("k", of_text), ("v", of_text), ("out", width)):
            weights[f"{number}.to_{part}_lora.down.weight"] = torch.randn(2, inputs)
            weights[f"{number}.to_{part}_lora.up.weight"] = torch.zeros(width, 2)
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
    for name, build in (("ip-adapter", plain), ("ip-adapter-plus", plus)):
        parts = {"image_proj": build(cross), "ip_adapter": attention_weights(unet)}
        flat = {f"{part}.{key}": value for part in parts for key, value in parts[part].items()}
        save_file(flat, folder / "models" / f"{name}.safetensors")
    attention = attention_weights(unet) | lora_weights(unet)
    torch.save(
        {"image_proj": face_id(cross), "ip_adapter": attention}, folder / "ip-adapter-faceid.bin"
    )
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
