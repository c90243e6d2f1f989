"""Families of denoisers: schedules, latents, prompts and predictions."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    FluxPipeline,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)

from models.denoisers import open_family
from models.denoisers.latents import LatentScale, pack, unpack
from models.denoisers.schedules import DDPMSchedule, FlowSchedule
from models.noise import ShardedGenerator, diffuse
from models.pipelines import open_pipeline, pipeline_outputs

SD3 = {"shift": 3.0, "num_train_timesteps": 1000}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_v_prediction_is_turned_into_noise():
    latents, noise = torch.randn(2, 4, 4, 4), torch.randn(2, 4, 4, 4)
    schedule = DDPMSchedule(torch.tensor([0.2, 0.8]), "v_prediction")
    steps = torch.tensor([0, 1])
    velocity = schedule.target(latents, noise, steps)
    s = torch.tensor([0.2, 0.8]).view(-1, 1, 1, 1)
    assert torch.allclose(velocity, s.sqrt() * noise - (1 - s).sqrt() * latents)
    noisy = diffuse(latents, noise, schedule.alphas_cumprod)
    assert torch.allclose(schedule.predicted_noise(velocity, noisy, steps), noise, atol=1e-6)
    with pytest.raises(ValueError, match="'sample' is not supported"):
        DDPMSchedule(torch.tensor([0.2]), "sample")


def test_a_flow_model_gets_a_straight_mixture():
    schedule = FlowSchedule.of(SD3)
    latents, noise = torch.randn(3, 4, 4, 4), torch.randn(3, 4, 4, 4)
    steps = torch.tensor([9, 499, 989])
    noisy = diffuse(latents, noise, schedule.alphas_cumprod[steps])
    given, times = schedule.inputs(noisy, steps)
    assert torch.allclose(times, torch.tensor([9.5, 499.5, 989.5]))
    t = (times / 1000).view(-1, 1, 1, 1)
    assert torch.allclose(given, (1 - t) * latents + t * noise, atol=1e-5)
    # a network that knows the velocity knows the noise
    velocity = schedule.target(latents, noise, steps)
    assert torch.equal(velocity, noise - latents)
    assert torch.allclose(schedule.predicted_noise(velocity, noisy, steps), noise, atol=1e-5)
    # an error of the velocity is that of the noise over 1 - t
    wrong = schedule.predicted_noise(velocity + 1, noisy, steps) - noise
    assert torch.allclose(schedule.denoising_error(wrong, steps), torch.ones(1), atol=1e-3)


def test_times_have_the_training_density_of_diffusers():
    schedule, latents = FlowSchedule.of(SD3), torch.zeros(20_000, 1, 2, 2)
    _, signal, steps = schedule.draw(latents, seeded())
    assert torch.equal(signal, schedule.alphas_cumprod[steps])
    # its scripts take the shifted times of the scheduler at logit-normal places
    places = torch.sigmoid(torch.randn(20_000, generator=seeded(1)))
    theirs = FlowMatchEulerDiscreteScheduler(shift=3.0).timesteps[(places * 1000).long()]
    quantiles = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95])
    assert torch.allclose((steps + 0.5).quantile(quantiles), theirs.quantile(quantiles), rtol=0.03)


def test_a_range_of_times_keeps_the_density_within_it():
    schedule, latents = FlowSchedule.of(SD3), torch.zeros(4000, 1, 2, 2)
    everything = schedule.draw(latents, seeded())[2]
    steps = schedule.draw(latents, seeded(), (0.2, 0.7))[2]
    assert (int(steps.min()), int(steps.max())) == (pytest.approx(200, abs=9), 699)
    inside = everything[(everything >= 200) & (everything < 700)].float()
    assert float(steps.float().mean()) == pytest.approx(float(inside.mean()), rel=0.02)


def test_processes_share_the_draws():
    schedule, latents = FlowSchedule.of(SD3), torch.zeros(4, 1, 2, 2)
    whole = schedule.draw(latents, seeded())
    for rank in range(2):
        part = schedule.draw(latents[rank::2], ShardedGenerator(seeded(), rank, 2))
        assert all(torch.equal(one[rank::2], other) for one, other in zip(whole, part, strict=True))


def test_flux_shifts_by_the_number_of_tokens():
    schedule = FlowSchedule.of({"use_dynamic_shifting": True, "shift": 3.0})
    # exp(0.5) at 256 tokens, exp(1.15) at 4096: images of 256 and 1024 pixels
    assert schedule.shift_of(torch.zeros(1, 16, 32, 32)) == pytest.approx(1.6487, abs=1e-3)
    assert schedule.shift_of(torch.zeros(1, 16, 128, 128)) == pytest.approx(3.1582, abs=1e-3)


def test_latents_are_packed_as_flux_packs_them():
    latents = torch.randn(2, 4, 6, 8)
    tokens = pack(latents)
    assert torch.equal(tokens, FluxPipeline._pack_latents(latents, 2, 4, 6, 8))
    assert torch.equal(unpack(tokens, 6, 8), latents)
    with pytest.raises(ValueError, match="multiples of 16 pixels"):
        pack(latents[..., :7])


def test_latents_are_scaled_there_and_back():
    latents = torch.randn(1, 3, 4, 6)
    one = LatentScale(0.5, 2.0)
    assert torch.equal(one.to_denoiser(latents), (latents - 0.5) * 2)
    patches = LatentScale(torch.randn(3, 2, 2), torch.rand(3, 2, 2) + 1)
    scaled = patches.to_denoiser(latents)
    assert torch.allclose(patches.to_autoencoder(scaled), latents, atol=1e-5)
    expected = (latents[0, 1, 3, 4] - patches.shift[1, 1, 0]) * patches.factor[1, 1, 0]
    assert torch.allclose(scaled[0, 1, 3, 4], expected)


def test_latents_of_flux2_are_scaled_as_its_pipeline_scales_them(flow_pipelines):
    vae = AutoencoderKLFlux2.from_pretrained(flow_pipelines["flux2"], subfolder="vae")
    latents = torch.randn(1, 4, 4, 6)
    patches = Flux2KleinPipeline._patchify_latents(latents)
    mean = vae.bn.running_mean.view(1, -1, 1, 1)
    std = (vae.bn.running_var.view(1, -1, 1, 1) + vae.config.batch_norm_eps).sqrt()
    expected = Flux2KleinPipeline._unpatchify_latents((patches - mean) / std)
    assert torch.allclose(LatentScale.of(vae).to_denoiser(latents), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("sd3", StableDiffusion3Pipeline), ("flux", FluxPipeline), ("flux2", Flux2KleinPipeline)],
)
def test_a_family_predicts_as_the_pipeline_does(flow_pipelines, name, kind):
    """One step of the pipeline's sampling, from the same latents."""
    family = open_family(flow_pipelines[name])
    assert family.pipeline_class is kind
    pipeline = kind.from_pretrained(flow_pipelines[name], dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    latents = torch.randn(1, 4, 8, 8)
    network = getattr(pipeline, family.network)
    seen = []
    network.register_forward_hook(
        lambda _, args, given, output: seen.append((given["timestep"], output[0])),
        with_kwargs=True,
    )
    packed = name.startswith("flux")
    given = {
        "sd3": latents,
        "flux": pack(latents),
        "flux2": Flux2KleinPipeline._patchify_latents(latents),
    }
    pipeline(
        prompt="photo of a person",
        height=64,
        width=64,
        num_inference_steps=1,
        guidance_scale=1.0,
        latents=given[name],
        output_type="latent",
    )
    ((timestep, expected),) = seen
    with torch.no_grad():
        conditions = family.encode(pipeline, ["photo of a person"])
        times = timestep * 1000 if packed else timestep
        output = family.predict(network, latents, times, conditions)
    expected = unpack(expected, 8, 8) if packed else expected
    assert torch.allclose(output, expected, atol=1e-6)
    apart = family.encode_apart(["photo of a person"])
    tolerance = 1e-6 if family.text_dtype is torch.float32 else 0.1
    for key, value in conditions.items():
        assert torch.allclose(apart[key].float(), value, atol=tolerance)


@pytest.fixture
def without_t5(flow_pipelines, tmp_path):
    """Folder of a Stable Diffusion 3 pipeline that was saved without T5."""
    folder = shutil.copytree(flow_pipelines["sd3"], tmp_path / "without")
    index = json.loads((folder / "model_index.json").read_text())
    for part in ("text_encoder_3", "tokenizer_3"):
        index[part] = [None, None]
        shutil.rmtree(folder / part)
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def test_a_zero_token_stands_for_a_text_encoder_that_a_pipeline_was_saved_without(without_t5):
    family = open_family(str(without_t5))
    apart = family.encode_apart(["photo of a person"])
    pipeline = open_pipeline(str(without_t5), family.pipeline_class)
    tokens = apart["encoder_hidden_states"]
    assert tokens.shape == (1, pipeline.tokenizer_max_length + 1, 32)
    assert tokens[:, :-1].any()
    assert not tokens[:, -1].any()
    with torch.no_grad():
        together = family.encode(pipeline, ["photo of a person"])
    assert all(torch.equal(apart[name], value) for name, value in together.items())


@pytest.mark.parametrize("dual", [False, True])
def test_the_zero_token_counts_as_all_that_diffusers_puts_there(without_t5, dual):
    """Also in the gradient, with checkpointing, and where blocks attend to the image twice."""
    family = open_family(str(without_t5))
    pipeline = open_pipeline(str(without_t5), family.pipeline_class)
    settings = dict(pipeline.transformer.config) | {
        "dual_attention_layers": (0,) if dual else (),
        "qk_norm": "rms_norm" if dual else None,
    }
    network = SD3Transformer2DModel.from_config(settings)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    prompts = ["photo of a person", "a dog"]
    latents = torch.randn(2, settings["in_channels"], 8, 8)
    times = torch.tensor([200.0, 700.0])
    with torch.no_grad():
        conditions = family.encode(pipeline, prompts)
        text, _, pooled, _ = pipeline.encode_prompt(
            prompts, prompts, prompts, do_classifier_free_guidance=False
        )
    assert text.shape[1] == conditions["encoder_hidden_states"].shape[1] + 255
    network.train().enable_gradient_checkpointing()
    weight = network.transformer_blocks[0].attn.to_k.weight

    expected = network(latents, text, pooled, times).sample
    (expected_gradient,) = torch.autograd.grad(expected.square().sum(), weight)
    output = family.predict(network, latents, times, conditions)
    (gradient,) = torch.autograd.grad(output.square().sum(), weight)
    assert torch.allclose(output, expected, rtol=1e-4, atol=1e-4)
    assert torch.allclose(gradient, expected_gradient, rtol=1e-3, atol=1e-3)
    once = network(latents, conditions["encoder_hidden_states"], pooled, times).sample
    assert not torch.allclose(once, expected, atol=0.01)
    with torch.no_grad():  # and the pipeline, which knows nothing of it, samples as before
        again = network(latents, text, pooled, times).sample
    assert torch.allclose(again, expected, rtol=1e-4, atol=1e-4)


def test_a_pipeline_of_another_kind_is_named(pipelines, tmp_path):
    folder = shutil.copytree(pipelines[0], tmp_path / "other")
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"] = "KolorsPipeline"
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="is a KolorsPipeline; a StableDiffusionPipeline, "):
        open_family(str(folder))


def test_golden_outputs_of_a_transformer(flow_pipelines):
    outputs = pipeline_outputs(Path(flow_pipelines["flux"]))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "latents": (1, 4, 8, 8),
        "picture": (1, 3, 64, 64),
        "prediction": (1, 4, 8, 8),
    }
    assert all(value.isfinite().all() for value in outputs.values())


def test_a_pipeline_with_another_network_is_refused(flow_pipelines):
    with pytest.raises(ValueError, match="sd3 has a transformer, which no StableDiffusionPipeline"):
        open_pipeline(flow_pipelines["sd3"])
