"""Personalization attacks on small untrained pipelines."""

import json

import pytest
import torch
from diffusers import UNet2DConditionModel

import eval.attacks.personalization as attacks
from eval.attacks.personalization import (
    LoraTextualInversion,
    LoraTextualInversionConfig,
)
from eval.attacks.personalization.learning import lora, new_token
from models.denoisers.family import ATTENTION

SMALL = {
    "steps": 3,
    "batch_size": 2,
    "samples": 2,
    "class_images": 3,
    "class_steps": 2,
    "sample_steps": 2,
}
WORD = {"initializer": "person"}
LORA = {"rank": 4}
ATTACKS = {
    "DreamBooth": {},
    "ContrastiveDecoupling": {},
    "DreamBoothLora": LORA,
    "TextualInversion": WORD,
    "LoraTextualInversion": WORD | LORA,
}


def build(name, model, **settings):
    config = getattr(attacks, f"{name}Config")(model=model, **SMALL | ATTACKS[name] | settings)
    return getattr(attacks, name)(config)


@pytest.fixture(scope="module", params=list(ATTACKS))
def attack(request, pipelines):
    return build(request.param, pipelines[0])


@pytest.fixture(scope="module")
def lora_ti(pipelines):
    return build("LoraTextualInversion", pipelines[0])


def state(attack):
    parts = (attack.pipeline.unet, attack.pipeline.text_encoder, attack.pipeline.vae)
    return {
        f"{n}.{key}": value.clone()
        for n, part in enumerate(parts)
        for key, value in part.state_dict().items()
    }


def test_the_model_is_untouched_and_the_result_repeats(attack, portraits):
    before = state(attack)
    losses = []
    first = attack(portraits, losses.append)
    after = state(attack)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert not any(
        p.requires_grad
        for part in (attack.pipeline.unet, attack.pipeline.text_encoder)
        for p in part.parameters()
    )
    assert torch.equal(first, attack(portraits))
    assert first.shape == (2 * len(attack.config.sample_prompts), 3, 64, 64)
    assert len(losses) == 3


def test_an_attack_that_diverges_is_no_protected_person(pipelines, portraits):
    diverging = build("LoraTextualInversion", pipelines[0], lr=1e30)
    with pytest.raises(FloatingPointError, match=r"not finite.*lower lr"):
        diverging(portraits)


def test_what_is_learned_changes_the_pictures(attack, portraits):
    drawn = attack(portraits)
    stronger = type(attack)(
        type(attack.config)(**vars(attack.config) | {"lr": attack.config.lr * 100})
    )(portraits)
    assert not torch.allclose(drawn, stronger)


@pytest.mark.parametrize(
    ("name", "learns"),
    [
        ("DreamBooth", {"unet", "text"}),
        ("DreamBoothLora", {"unet"}),
        ("TextualInversion", set()),
        ("LoraTextualInversion", {"unet"}),
    ],
)
def test_what_each_attack_learns(pipelines, name, learns):
    attack = build(name, pipelines[0])
    with attack.trainable() as parameters:
        wanted = {id(parameter) for parameter in parameters}
        parts = {"unet": attack.pipeline.unet, "text": attack.pipeline.text_encoder}
        found = {
            key: [n for n, p in part.named_parameters() if id(p) in wanted and p.requires_grad]
            for key, part in parts.items()
        }
    assert bool(found["unet"]) == ("unet" in learns)
    if "Inversion" in name:
        assert [part.rpartition(".")[2] for part in found["text"]] == ["word"]
    assert bool(found["text"]) == ("text" in learns or "Inversion" in name)
    assert sum(len(names) for names in found.values()) == len(wanted)


def test_dreambooth_may_leave_the_text_encoder_alone(pipelines):
    attack = build("DreamBooth", pipelines[0], train_text_encoder=False)
    with attack.trainable() as parameters:
        assert len(parameters) == len(list(attack.pipeline.unet.parameters()))


@pytest.mark.parametrize(
    "settings",
    [
        {"prior_weight": 0.0},
        {"gradient_checkpointing": True},
        {"precision": "bf16"},
        {"sampler": "own"},
    ],
)
def test_options_of_every_recipe(pipelines, portraits, settings):
    attack = build("LoraTextualInversion", pipelines[0], **settings)
    assert attack(portraits).isfinite().all()
    assert (attack._class_latents is None) == ("prior_weight" in settings)


def test_contrastive_decoupling_names_the_noise(pipelines, portraits):
    attack = build("ContrastiveDecoupling", pipelines[0], sample_prompts=("a photo of {token}",))
    assert attack.training_prompts() == (
        "a photo of sks person, bhj noisy pattern",
        "a photo of person, without bhj noisy pattern",
    )
    asked = []
    sample = attack._sample

    def recorded(prompt, *others):
        asked.append((prompt, others[3] if len(others) > 3 else None))
        return sample(prompt, *others)

    attack._sample = recorded
    attack(portraits[:2])
    assert asked == [
        ("a photo of person", None),
        (
            "a photo of sks, without bhj noisy pattern",
            "bhj noisy pattern, noisy, lowres, artifact, pattern",
        ),
    ]


def test_recomputing_activations_changes_nothing(lora_ti, pipelines, portraits):
    again = build("LoraTextualInversion", pipelines[0], gradient_checkpointing=True)
    assert torch.allclose(lora_ti(portraits), again(portraits), atol=1e-5)


def test_global_random_state_is_left_alone(attack, portraits):
    torch.manual_seed(4)
    expected = torch.rand(1)
    torch.manual_seed(4)
    attack(portraits)
    assert torch.equal(torch.rand(1), expected)


def test_it_learns_what_it_is_shown(pipelines, portraits):
    attack = build("LoraTextualInversion", pipelines[0], steps=60, lr=1e-2, batch_size=4)
    losses = []
    attack(portraits[:1].expand(4, -1, -1, -1), losses.append)
    assert sum(losses[-10:]) < sum(losses[:10])


def test_it_works_in_inference_mode(pipelines, portraits):
    with torch.inference_mode():
        shown = portraits * 1.0
        assert build("DreamBooth", pipelines[0])(shown).shape == (4, 3, 64, 64)


def test_pictures_of_another_size_are_resized(lora_ti):
    assert lora_ti(torch.rand(2, 3, 80, 80)).shape == (2, 3, 64, 64)


def test_only_attention_projections_and_one_word_are_trained(lora_ti):
    text_encoder, unet = lora_ti.pipeline.text_encoder, lora_ti.pipeline.unet
    word_table = text_encoder.get_input_embeddings()
    ((token, initializer),) = lora_ti.ids
    with (
        new_token(text_encoder, token, initializer) as words,
        lora(unet, ATTENTION, 4, 0) as updates,
    ):
        assert words[0].shape == (16,)
        named = [name for name, p in unet.named_parameters() if p.requires_grad]
        assert len(named) == len(updates)
        assert all(
            "lora" in name and any(part in name for part in ("to_q", "to_k", "to_v", "to_out"))
            for name in named
        )
        embedded = text_encoder.get_input_embeddings()(torch.tensor([[token, initializer]]))
        assert torch.equal(embedded[0, 0], embedded[0, 1])
    assert text_encoder.get_input_embeddings() is word_table


@pytest.mark.parametrize(("cross", "expected"), [(1024, 6_639_616), (768, 6_377_472)])
def test_parameter_count_at_stable_diffusions_size(cross, expected):
    heads = {1024: [5, 10, 20, 20], 768: 8}[cross]
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=64,
            cross_attention_dim=cross,
            attention_head_dim=heads,
            use_linear_projection=cross == 1024,
        ).requires_grad_(False)
        with lora(unet, ATTENTION, 32, 0) as updates:
            assert sum(p.numel() for p in updates) == expected


def test_an_initializer_of_several_tokens_is_refused(pipelines):
    with pytest.raises(ValueError, match="'ktn' is 3 tokens"):
        LoraTextualInversion(LoraTextualInversionConfig(model=pipelines[0])).pipeline  # noqa: B018 (loaded on first use)


def test_the_defaults_are_the_published_recipes():
    lora_ti, ti = attacks.LoraTextualInversionConfig(), attacks.TextualInversionConfig()
    assert (lora_ti.rank, lora_ti.lr, lora_ti.steps, lora_ti.batch_size, lora_ti.class_images) == (
        32,
        3e-4,
        221,
        1,
        100,
    )
    assert (lora_ti.samples, lora_ti.sample_seed, lora_ti.sample_steps, lora_ti.guidance) == (
        12,
        123,
        50,
        7.5,
    )
    assert (ti.lr, ti.steps, ti.batch_size) == (5e-5, 1000, 1)
    dreambooth = attacks.DreamBoothConfig()
    assert (dreambooth.lr, dreambooth.steps, dreambooth.batch_size, dreambooth.class_images) == (
        5e-7,
        1000,
        2,
        200,
    )
    assert (dreambooth.train_text_encoder, dreambooth.samples, dreambooth.sample_steps) == (
        True,
        16,
        100,
    )


def test_a_pipeline_folder_without_its_parts(tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({}))
    with pytest.raises(FileNotFoundError, match=r"scheduler_config\.json is missing"):
        LoraTextualInversion(LoraTextualInversionConfig(model=str(tmp_path))).pipeline  # noqa: B018 (loaded on first use)


def test_latents_are_not_clipped_while_sampling(lora_ti):
    assert lora_ti.pipeline.scheduler.config.clip_sample is False


def test_sdxl(sdxl_pipeline, portraits):
    attack = build("DreamBoothLora", sdxl_pipeline)
    losses = []
    drawn = attack(portraits, losses.append)
    assert drawn.shape == (4, 3, 64, 64)
    assert drawn.isfinite().all()
    assert len(losses) == 3
    assert torch.equal(drawn, attack(portraits))
