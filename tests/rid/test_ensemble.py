import copy
import json
import shutil

import pytest
import torch
from transformers import CLIPTextModel

from rid.ensemble import DiffusionEnsemble
from rid.losses import diffuse


def test_identical_encoders_are_held_once(pipelines):
    ensemble = DiffusionEnsemble(pipelines)
    assert len(ensemble) == 3
    assert len(ensemble.encoders) == 2
    assert [model.encoder for model in ensemble.surrogates] == [0, 0, 1]


def test_each_distinct_encoder_runs_once_a_step(pipelines, portraits):
    ensemble = DiffusionEnsemble(pipelines)
    calls = []
    for index, encoder in enumerate(ensemble.encoders):
        encoder.encoder.register_forward_hook(lambda *_, index=index: calls.append(index))
    ensemble.adv_sds(portraits[:2])
    assert calls == [0, 1]


def test_the_gradient_reaches_the_pictures_but_no_weight(pipelines, portraits):
    ensemble = DiffusionEnsemble(pipelines)
    images = portraits[:2].clone().requires_grad_()
    ensemble.adv_sds(images, torch.Generator().manual_seed(0)).backward()
    assert images.grad.abs().sum() > 0
    for network in [*ensemble.encoders, *(model.unet for model in ensemble.surrogates)]:
        assert not network.training
        assert all(not p.requires_grad and p.grad is None for p in network.parameters())


def test_unets_keep_no_graph_for_adv_sds(pipelines, portraits):
    ensemble = DiffusionEnsemble(pipelines[:1])
    tracked = []
    ensemble.surrogates[0].unet.register_forward_hook(
        lambda *_: tracked.append(torch.is_grad_enabled())
    )
    ensemble.adv_sds(portraits[:1].clone().requires_grad_())
    assert tracked == [False]


def test_the_same_noise_gives_the_same_loss(pipelines, portraits):
    ensemble = DiffusionEnsemble(pipelines)
    first, second = (
        ensemble.denoising_loss(portraits, torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert torch.equal(first, second)
    assert first.shape == (8,)


def test_the_prompt_is_the_models_own(pipelines):
    from rid.surrogates import embed_prompt

    ensemble = DiffusionEnsemble(pipelines[:1], prompt="photo of a person")
    assert torch.equal(
        ensemble.surrogates[0].prompt_embeds, embed_prompt(pipelines[0], "photo of a person")
    )
    assert not torch.equal(ensemble.surrogates[0].prompt_embeds, embed_prompt(pipelines[0], " "))
    held = [value for model in ensemble.surrogates for value in vars(model).values()]
    assert not any(isinstance(value, CLIPTextModel) for value in held)


def test_copies_share_the_frozen_weights(pipelines):
    ensemble = DiffusionEnsemble(pipelines[:1])
    assert copy.deepcopy(ensemble) is ensemble


def test_denoising_loss_is_the_mean_square_of_the_error(pipelines, portraits):
    ensemble = DiffusionEnsemble(pipelines[:1])
    model = ensemble.surrogates[0]
    with torch.no_grad():
        loss = ensemble.denoising_loss(portraits[:1], torch.Generator().manual_seed(1))
        source = torch.Generator().manual_seed(1)
        latents = (
            ensemble.encoders[0].encode(portraits[:1] * 2 - 1).latent_dist.sample(source)
            * model.scaling_factor
        )
        noise = torch.randn(latents.shape, generator=source)
        step = torch.randint(1000, (1,), generator=source)
        output = model.unet(
            diffuse(latents, noise, model.alphas_cumprod[step]), step, model.prompt_embeds
        ).sample
    assert loss.item() == pytest.approx((output - noise).square().mean().item(), rel=1e-5)


def test_no_models_and_missing_models_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one model"):
        DiffusionEnsemble([])
    with pytest.raises(FileNotFoundError, match=r"model_index\.json is missing"):
        DiffusionEnsemble([str(tmp_path)])
    with pytest.raises(FileNotFoundError, match="hf download nobody/nothing"):
        DiffusionEnsemble(["nobody/nothing"])


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("text_encoder/config.json", {"hidden_size": []}),
        ("vae/config.json", {"norm_num_groups": None}),
        ("unet/config.json", {"act_fn": {}}),
    ],
)
def test_a_damaged_pipeline_is_named(pipelines, tmp_path, file, change):
    folder = shutil.copytree(pipelines[0], tmp_path / "sd")
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | change))
    with pytest.raises(ValueError, match=f"{folder}.*(damaged|get)"):
        DiffusionEnsemble([str(folder)])
