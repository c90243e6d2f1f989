"""Personalization attacks on families of models, and their weights as diffusers opens them."""

import pytest
import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel
from safetensors.torch import load_file

import eval.attacks.personalization as attacks
from eval.attacks.personalization.learning import lora
from eval.attacks.personalization.weights import check_keeps_weights, save_learned
from models.denoisers.family import JOINT_ATTENTION
from tests.eval.test_personalization import build

FLOW = {"resolution": 64, "steps": 2, "samples": 1, "class_images": 2, "guidance": 3.5}


@pytest.fixture(scope="module")
def todays_pipelines(flow_pipelines, sdxl_pipeline):
    """Pipelines of flow matching and of SDXL, by name."""
    return flow_pipelines | {"sdxl": sdxl_pipeline}


def build_flow(name, model, **settings):
    return build(
        name, model, **FLOW | {"sample_prompts": ("photo of a {token} person",)} | settings
    )


@pytest.mark.parametrize(
    ("model", "name", "settings"),
    [
        ("sd3", "DreamBooth", {}),
        ("sd3", "DreamBoothLora", {"dora": True, "gradient_checkpointing": True}),
        ("sd3", "LoraTextualInversion", {"precision": "bf16-true"}),
        ("flux", "DreamBoothLora", {"gradient_checkpointing": True}),
        ("flux", "DreamBoothLora", {"dora": True, "precision": "bf16-true"}),
        ("flux", "TextualInversion", {}),
        ("flux", "LoraTextualInversion", {"precision": "bf16-true"}),
        ("flux2", "DreamBooth", {"prior_weight": 0.0}),
        ("sdxl", "DreamBooth", {"gradient_checkpointing": True}),
        ("sdxl", "DreamBoothLora", {"dora": True}),
        ("sdxl", "LoraTextualInversion", {"precision": "bf16-true"}),
    ],
)
def test_every_attack_on_todays_models(todays_pipelines, portraits, model, name, settings):
    attack = build_flow(name, todays_pipelines[model], **settings)
    parts = [attack.network, attack.pipeline.vae, *attack.clip_encoders()]
    before = [value.clone() for part in parts for value in part.state_dict().values()]
    losses = []
    drawn = attack(portraits[:2], losses.append)
    assert drawn.shape == (1, 3, 64, 64)
    assert drawn.isfinite().all()
    assert len(losses) == 2
    after = [value for part in parts for value in part.state_dict().values()]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert not any(p.requires_grad for part in parts for p in part.parameters())
    stronger = build_flow(name, todays_pipelines[model], **settings, lr=attack.config.lr * 1000)
    assert not torch.allclose(drawn, stronger(portraits[:2]))


def load_token(pipeline, file, token):
    """Open a token as diffusers does: of two text encoders, one after the other."""
    rows = load_file(file)
    if len(rows) == 1:
        pipeline.load_textual_inversion(file)
        return
    for key, number in (("clip_l", ""), ("clip_g", "_2")):
        parts = {kind: getattr(pipeline, kind + number) for kind in ("text_encoder", "tokenizer")}
        pipeline.load_textual_inversion(rows[key], token=token, **parts)


@pytest.mark.parametrize(
    ("model", "name", "settings"),
    [
        ("sd", "LoraTextualInversion", {}),
        ("sd", "DreamBoothLora", {"dora": True}),
        ("sd3", "DreamBoothLora", {}),
        ("sd3", "DreamBoothLora", {"dora": True}),
        ("flux", "LoraTextualInversion", {}),
        ("flux2", "DreamBoothLora", {"prior_weight": 0.0}),
        ("sdxl", "DreamBoothLora", {}),
        ("sdxl", "DreamBoothLora", {"dora": True}),
        ("sdxl", "LoraTextualInversion", {}),
    ],
)
def test_diffusers_opens_what_was_learned(
    pipelines, todays_pipelines, portraits, tmp_path, model, name, settings
):
    folder = ({"sd": pipelines[0]} | todays_pipelines)[model]
    attack = build_flow(name, folder, lr=0.1, **settings)
    learned = {}
    drawn = attack(portraits[:2], on_learned=learned.update)
    save_learned(learned, tmp_path)
    more = {"safety_checker": None} if model == "sd" else {}
    opened = attack.family.pipeline_class.from_pretrained(folder, dtype=torch.float32, **more)
    opened.set_progress_bar_config(disable=True)
    opened.scheduler = attack.pipeline.scheduler

    def draw():
        return opened(
            prompt=attack.config.fill_prompt(attack.config.sample_prompts[0]),
            height=64,
            width=64,
            num_inference_steps=attack.config.sample_steps,
            guidance_scale=attack.config.guidance,
            generator=[torch.Generator().manual_seed(attack.config.sample_seed)],
            output_type="pt",
        ).images

    assert not torch.allclose(draw(), drawn, atol=1e-3)
    opened.load_lora_weights(tmp_path)
    if "Inversion" in name:
        assert not torch.allclose(draw(), drawn, atol=1e-4)
        load_token(opened, tmp_path / "learned_embeds.safetensors", attack.config.token)
    assert torch.allclose(draw(), drawn, atol=1e-5)


def test_two_clip_encoders_have_two_tokens(flow_pipelines, portraits):
    learned = {}
    attack = build_flow("TextualInversion", flow_pipelines["sd3"])
    assert attack(portraits[:2], on_learned=learned.update).isfinite().all()
    ((name, state),) = learned.items()
    assert name == "learned_embeds.safetensors"
    assert {key: value.shape for key, value in state.items()} == {
        "clip_l": (1, 16),
        "clip_g": (1, 16),
    }


def test_attacks_that_flux_cannot_have_are_refused(flow_pipelines):
    with pytest.raises(ValueError, match="has no CLIP text encoder, where textual inversion"):
        build_flow("TextualInversion", flow_pipelines["flux2"]).pipeline  # noqa: B018 (loaded on first use)
    config = attacks.ContrastiveDecouplingConfig(model=flow_pipelines["flux2"])
    with pytest.raises(ValueError, match="takes no negative prompt"):
        attacks.ContrastiveDecoupling(config).pipeline  # noqa: B018 (loaded on first use)


def test_whole_networks_are_not_kept(pipelines):
    check_keeps_weights(build("TextualInversion", pipelines[0]))
    with pytest.raises(ValueError, match="DreamBooth learns no LoRA and no token"):
        check_keeps_weights(build("DreamBooth", pipelines[0]))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"resolution": 100}, "a multiple of 16, got 100"),
        ({"precision": "bf16-true"}, "precision is 32 or bf16, not bf16-true"),
    ],
)
def test_settings_that_cannot_be(settings, words):
    with pytest.raises(ValueError, match=words):
        attacks.DreamBoothConfig(**settings)


def test_records_are_those_of_earlier_versions_unless_new_settings_are_used():
    assert not {"resolution", "dora"} & set(attacks.DreamBoothLoraConfig().record())
    assert attacks.DreamBoothLoraConfig(dora=True).record()["dora"] is True


SD35 = {
    "sample_size": 128,
    "num_layers": 38,
    "num_attention_heads": 38,
    "caption_projection_dim": 2432,
    "pos_embed_max_size": 192,
    "qk_norm": "rms_norm",
}
"""Stable Diffusion 3.5 large; what is left out is diffusers' default."""

MEDIUM = SD35 | {
    "num_layers": 24,
    "num_attention_heads": 24,
    "caption_projection_dim": 1536,
    "pos_embed_max_size": 384,
    "dual_attention_layers": tuple(range(13)),
}
"""Stable Diffusion 3.5 medium."""

DEV = {"guidance_embeds": True}
"""FLUX.1 dev: all other shapes are diffusers' defaults."""


@pytest.mark.parametrize(
    ("network", "settings", "size", "expected"),
    [
        (SD3Transformer2DModel, SD35, 8_056_627_520, 23_580_672),
        (SD3Transformer2DModel, MEDIUM, 2_243_171_520, 9_388_032),
        (FluxTransformer2DModel, DEV, 11_901_408_320, 26_148_864),
    ],
)
def test_parameter_count_at_released_shapes(network, settings, size, expected):
    """Sizes of the network and of its LoRA of rank 16."""
    with torch.device("meta"):
        transformer = network(**settings).requires_grad_(False)
    assert sum(p.numel() for p in transformer.parameters()) == size
    with torch.device("meta"), lora(transformer, JOINT_ATTENTION, 16, 0) as updates:
        assert sum(p.numel() for p in updates) == expected
