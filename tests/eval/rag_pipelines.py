"""Small SDXL and OmniGen pipelines with untrained weights."""

import torch
from diffusers import (
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    OmniGenPipeline,
    OmniGenTransformer2DModel,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from diffusers.models.embeddings import IPAdapterPlusImageProjection
from safetensors.torch import save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    LlamaTokenizer,
)

from tiny.autoencoder import build_autoencoder
from tiny.diffusion import build_text_encoder, build_tokenizer

PROMPT = "a picture with the letters 'BCDFGH' in it"


def spread(network, scale=3.0):
    """Weights large enough that what a network is given shows in 8-bit levels of what it draws."""
    for weight in network.parameters():
        if weight.ndim > 1:
            weight.data.mul_(scale)
    return network


def build_sdxl(root):
    """An SDXL pipeline, and an adapter with its image encoder in the published layout."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer([PROMPT])
    second = CLIPTextConfig(
        **build_text_encoder(tokenizer, 16, 1).config.to_diff_dict()
        | {"num_hidden_layers": 2, "projection_dim": 16, "eos_token_id": 2}
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
        cross_attention_dim=32,
        norm_num_groups=8,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 16,
    )
    StableDiffusionXLPipeline(
        vae=build_autoencoder((8, 8, 16, 16), 4),
        text_encoder=build_text_encoder(tokenizer, 16, 2),
        text_encoder_2=CLIPTextModelWithProjection(second),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=spread(unet, 1.5),
        scheduler=EulerDiscreteScheduler(),
        add_watermarker=False,
    ).save_pretrained(root / "base")
    encoder = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    CLIPVisionModelWithProjection(encoder).save_pretrained(
        root / "adapter" / "models" / "image_encoder"
    )
    (root / "adapter" / "sdxl_models").mkdir()
    save_file(
        published_adapter(unet, 16),
        root / "adapter" / "sdxl_models" / "ip-adapter-plus_sdxl_vit-h.safetensors",
    )
    return str(root / "base"), str(root / "adapter")


def published_adapter(unet, width):
    """An IP-Adapter Plus as its authors name its weights."""
    weights, number = {}, 1
    for name in unet.attn_processors:
        if "attn2" in name:
            side = unet.get_submodule(name.removesuffix(".processor")).inner_dim
            made = IPAdapterAttnProcessor2_0(side, unet.config.cross_attention_dim, num_tokens=(4,))
            weights |= {
                f"ip_adapter.{number}.{part}.weight": spread(made).state_dict()[f"{part}.0.weight"]
                for part in ("to_k_ip", "to_v_ip")
            }
            number += 2
    projection = IPAdapterPlusImageProjection(
        width, unet.config.cross_attention_dim, width, heads=1, num_queries=4
    )
    theirs = {
        "ln0": "0.norm1",
        "ln1": "0.norm2",
        "attn.to_q": "0.to_q",
        "attn.to_out.0": "0.to_out",
    }
    theirs |= {"ff.0": "1.0", "ff.1.net.0.proj": "1.1", "ff.1.net.2": "1.3"}
    for name, value in projection.state_dict().items():
        place, _, kind = name.rpartition(".")
        layer, number, *inner = place.split(".") if place.startswith("layers.") else ("", "", place)
        inner = ".".join(inner)
        if inner == "attn.to_k":
            values = projection.state_dict()[f"layers.{number}.attn.to_v.weight"]
            weights[f"image_proj.layers.{number}.0.to_kv.weight"] = torch.cat([value, values])
        elif inner != "attn.to_v":
            weights[
                "image_proj." + (f"{layer}.{number}.{theirs[inner]}.{kind}" if layer else name)
            ] = value
    return {name: value.contiguous().clone() for name, value in weights.items()}


def build_omnigen(folder):
    """An OmniGen pipeline; a picture's token stands for 16 x 16 pixels, as in the real one."""
    torch.manual_seed(0)
    transformer = OmniGenTransformer2DModel(
        hidden_size=16,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=16,
        num_layers=2,
        vocab_size=120,
        pad_token_id=0,
        time_step_dim=8,
        pos_embed_max_size=8,
        rope_scaling={"short_factor": [1.0] * 4, "long_factor": [1.0] * 4},
    )
    OmniGenPipeline(
        transformer=spread(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(invert_sigmas=True, num_train_timesteps=1),
        vae=build_autoencoder((8, 8, 16, 16), 4),
        tokenizer=LlamaTokenizer().train_new_from_iterator(
            [PROMPT, "<img> </img> <|user|> <|end|>"], vocab_size=120
        ),
    ).save_pretrained(folder)
    return str(folder)
