import copy
import json
import shutil

import pytest
import torch
from transformers import CLIPTextModel

from models.denoisers import open_family
from models.noise import diffuse
from rid.ensemble import DiffusionEnsemble


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
    for network in [*ensemble.encoders, *(model.network for model in ensemble.surrogates)]:
        assert not network.training
        assert all(not p.requires_grad and p.grad is None for p in network.parameters())


def test_recomputed_encoders_give_the_same_gradient(pipelines, portraits):
    gradients = []
    for checkpointing in (False, True):
        ensemble = DiffusionEnsemble(pipelines[:1], checkpointing=checkpointing)
        passes = []
        block = ensemble.encoders[0].encoder.mid_block
        block.register_forward_pre_hook(lambda *_, passes=passes: passes.append(1))
        images = portraits[:2].clone().requires_grad_()
        ensemble.adv_sds(images, torch.Generator().manual_seed(0)).backward()
        assert len(passes) == 1 + checkpointing
        gradients.append(images.grad)
    assert torch.equal(*gradients)


def test_unets_keep_no_graph_for_adv_sds(pipelines, portraits):
    ensemble = DiffusionEnsemble(pipelines[:1])
    tracked = []
    ensemble.surrogates[0].network.register_forward_hook(
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
    ensemble = DiffusionEnsemble(pipelines[:1], prompt="photo of a person")
    family = open_family(pipelines[0])
    (held,) = ensemble.surrogates[0].conditions.values()
    assert torch.equal(held, *family.encode_apart(["photo of a person"]).values())
    assert not torch.equal(held, *family.encode_apart([" "]).values())
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
            * model.scale.factor
        )
        noise = torch.randn(latents.shape, generator=source)
        step = torch.randint(1000, (1,), generator=source)
        noisy = diffuse(latents, noise, model.schedule.alphas_cumprod[step])
        output = model.network(noisy, step, **model.conditions).sample
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


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_a_flow_models_loss_is_the_error_of_its_velocity(flow_pipelines, portraits, name):
    ensemble = DiffusionEnsemble([flow_pipelines[name]])
    model = ensemble.surrogates[0]
    images = portraits[:2].clone().requires_grad_()
    loss = ensemble.denoising_loss(images, torch.Generator().manual_seed(1))
    source = torch.Generator().manual_seed(1)
    latents = next(ensemble.latents(portraits[:2], source))[1]
    noise, _, steps = model.schedule.draw(latents, source)
    t = ((steps + 0.5) / 1000).view(-1, 1, 1, 1)
    conditions = {
        key: value.repeat(2, *[1] * (value.ndim - 1)) for key, value in model.conditions.items()
    }
    velocity = model.family.predict(
        model.network, (1 - t) * latents + t * noise, 1000 * t.flatten(), conditions
    )
    expected = (velocity - (noise - latents)).square().mean(dim=(1, 2, 3))
    assert torch.allclose(loss, expected, rtol=1e-3)
    loss.sum().backward()
    assert images.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_adv_sds_of_a_flow_model_is_the_weighted_velocity_error(flow_pipelines, portraits, name):
    ensemble = DiffusionEnsemble([flow_pipelines[name]])
    model = ensemble.surrogates[0]
    with torch.no_grad():
        latents = next(ensemble.latents(portraits[:2], torch.Generator().manual_seed(0)))[1]
    latents.requires_grad_()
    ensemble.latents = lambda *_: [(model, latents)]
    loss = ensemble.adv_sds(portraits[:2], torch.Generator().manual_seed(1))
    loss.backward()
    noise, _, steps = model.schedule.draw(latents, torch.Generator().manual_seed(1))
    t = ((steps + 0.5) / 1000).view(-1, 1, 1, 1)
    conditions = {
        key: value.repeat(2, *[1] * (value.ndim - 1)) for key, value in model.conditions.items()
    }
    with torch.no_grad():
        velocity = model.family.predict(
            model.network, (1 - t) * latents + t * noise, 1000 * t.flatten(), conditions
        )
        error = velocity - (noise - latents)
    length = ((1 - t) ** 2 + t**2).sqrt()
    weight = t**2 * (1 - t) ** 2 / length**3
    assert torch.allclose(latents.grad, -weight * error / latents.numel(), atol=1e-7)
    assert loss.item() == pytest.approx(
        (t**2 / length**2 * (1 - t) * error).square().mean().item() / 2, rel=1e-3
    )


def test_families_mix_in_one_ensemble(flow_pipelines, sdxl_pipeline, pipelines, portraits):
    ensemble = DiffusionEnsemble([pipelines[0], sdxl_pipeline, *flow_pipelines.values()])
    images = portraits[:1].clone().requires_grad_()
    ensemble.adv_sds(images).backward()
    assert images.grad.abs().sum() > 0
    assert ensemble.denoising_losses(portraits[:1]).shape == (5, 1)
    target = ensemble.targeted_loss(portraits[:2], portraits[2:4])
    assert target.isfinite().all()
