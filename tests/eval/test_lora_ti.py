"""The attack on small untrained pipelines: what it must leave untouched, and what must repeat."""

import json

import pytest
import torch
from diffusers import UNet2DConditionModel

from eval.attacks.personalization import LoraTextualInversion, LoraTextualInversionConfig

SMALL = {"initializer": "person", "steps": 3, "batch_size": 2, "samples": 2, "class_images": 3, "sample_steps": 2, "rank": 4}


@pytest.fixture(scope="module")
def attack(pipelines):
    return LoraTextualInversion(LoraTextualInversionConfig(model=pipelines[0], **SMALL))


def state(attack):
    parts = (attack.pipeline.unet, attack.pipeline.text_encoder, attack.pipeline.vae)
    return {f"{n}.{key}": value.clone() for n, part in enumerate(parts) for key, value in part.state_dict().items()}


def test_the_model_is_untouched_and_the_result_repeats(attack, portraits):
    before = state(attack)
    losses = []
    first = attack(portraits, losses.append)
    after = state(attack)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert torch.equal(first, attack(portraits))
    assert first.shape == (2, 3, 64, 64)
    assert len(losses) == 3


def test_global_random_state_is_left_alone(attack, portraits):
    torch.manual_seed(4)
    expected = torch.rand(1)
    torch.manual_seed(4)
    attack(portraits)
    assert torch.equal(torch.rand(1), expected)


def test_it_learns_what_it_is_shown(pipelines, portraits):
    config = LoraTextualInversionConfig(model=pipelines[0], **SMALL | {"steps": 60, "lr": 1e-2, "batch_size": 4})
    losses = []
    LoraTextualInversion(config)(portraits[:1].expand(4, -1, -1, -1), losses.append)
    assert sum(losses[-10:]) < sum(losses[:10])


def test_it_works_in_inference_mode(attack, portraits):
    with torch.inference_mode():
        shown = portraits * 1.0
        assert attack(shown).shape == (2, 3, 64, 64)


def test_pictures_of_another_size_are_resized(attack):
    assert attack(torch.rand(2, 3, 80, 80)).shape == (2, 3, 64, 64)


def test_only_attention_projections_and_one_word_are_trained(attack):
    word_table = attack.pipeline.text_encoder.get_input_embeddings()
    with attack._new_word() as word, attack._lora() as lora:
        assert word.shape == (16,)
        named = [name for name, p in attack.pipeline.unet.named_parameters() if p.requires_grad]
        assert len(named) == len(lora)
        assert all("lora" in name and any(part in name for part in ("to_q", "to_k", "to_v", "to_out")) for name in named)
        ids = torch.tensor([[attack.token_id, attack.initializer_id]])
        embedded = attack.pipeline.text_encoder.get_input_embeddings()(ids)
        assert torch.equal(embedded[0, 0], embedded[0, 1])
    assert attack.pipeline.text_encoder.get_input_embeddings() is word_table


@pytest.mark.parametrize(("cross", "expected"), [(1024, 6_639_616), (768, 6_377_472)])
def test_parameter_count_at_stable_diffusions_size(cross, expected):
    from peft import LoraConfig

    heads = {1024: [5, 10, 20, 20], 768: 8}[cross]
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=64, cross_attention_dim=cross, attention_head_dim=heads, use_linear_projection=cross == 1024
        )
        unet.requires_grad_(False)
        unet.add_adapter(LoraConfig(r=32, lora_alpha=32, target_modules=["to_q", "to_k", "to_v", "to_out.0"]), adapter_name="attack")
    assert sum(p.numel() for p in unet.parameters() if p.requires_grad) == expected


def test_an_initializer_of_several_tokens_is_refused(pipelines):
    with pytest.raises(ValueError, match="'ktn' is 3 tokens"):
        LoraTextualInversion(LoraTextualInversionConfig(model=pipelines[0]))


def test_the_defaults_are_the_released_recipe():
    config = LoraTextualInversionConfig()
    assert (config.rank, config.lr, config.steps, config.batch_size, config.class_images) == (32, 3e-4, 221, 1, 100)
    assert (config.samples, config.sample_seed, config.sample_steps, config.guidance) == (12, 123, 50, 7.5)


def test_a_pipeline_folder_without_its_parts(tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({}))
    with pytest.raises(FileNotFoundError, match=r"scheduler_config\.json is missing"):
        LoraTextualInversion(LoraTextualInversionConfig(model=str(tmp_path)))


def test_latents_are_not_clipped_while_sampling(attack):
    assert attack.pipeline.scheduler.config.clip_sample is False
