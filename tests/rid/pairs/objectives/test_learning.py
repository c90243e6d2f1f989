"""Protections whose models change: their distinguishing steps, and the purifiers' guidance."""

import pytest
import torch
from torch import nn

from checkpoints.folders import ROOT
from images.transforms.differentiable import gaussian_blur
from rid.pairs.config import PGDConfig
from rid.pairs.objectives import (
    CAAT,
    FineTunedSurrogate,
    MetaCloak,
    PurifierGuidance,
    SimAC,
    SurrogateConfig,
)
from rid.pairs.objectives.purifier_guidance import high_frequencies
from rid.pairs.objectives.simac import FeatureRecorder
from rid.pairs.pgd import pgd

SHORT = SurrogateConfig(steps=0, lr=1e-3, prior_weight=0.0)

STEP = PGDConfig(steps=1, step_size=1, momentum=0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_surrogate_learns_as_dreambooth_does(pipelines, portraits):
    """One step of AdamW on instance and class image, by hand."""
    settings = {"prior_weight": 0.5, "lr": 1e-3, "class_images": 1}
    objective = FineTunedSurrogate(pipelines[:1], SurrogateConfig(**settings))
    objective.class_images = portraits[4:5]
    weight = objective.trainable["unet"].conv_in.weight
    before = weight.detach().clone()
    source = seeded(1)
    loss = objective.denoising_loss(portraits[:1], "a photo of sks person", source).mean()
    prior = objective.denoising_loss(portraits[4:5], "a photo of person", source).mean()
    (gradient,) = torch.autograd.grad(loss + 0.5 * prior, weight)
    objective.fine_tune(portraits[:1], 1, seeded(1))
    expected = before * (1 - 1e-3 * 1e-2) - 1e-3 * gradient / (gradient.abs() + 1e-8)
    assert torch.allclose(weight, expected, atol=1e-6)


def test_fsmg_attacks_a_surrogate_that_was_trained_once(pipelines, portraits):
    clean, images = portraits[4:6], portraits[:2]
    config = SurrogateConfig(warmup_steps=2, steps=0, lr=1e-3, prior_weight=0.0)
    alone = FineTunedSurrogate(pipelines[:1], config)
    alone.fine_tune(clean, 2, seeded())
    objective = FineTunedSurrogate(pipelines[:1], config)
    pgd(images, [objective], 6, PGDConfig(steps=2, outer_steps=3), seeded(), reference=clean)
    name = "unet.conv_in.weight"
    trained = objective.trainable.state_dict()[name]
    assert torch.equal(trained, alone.trainable.state_dict()[name])
    assert not torch.equal(trained, objective.initial_state[name])


def test_aspl_forgets_the_clean_images_and_keeps_the_protected_ones(pipelines, portraits):
    clean, protected = portraits[4:6], portraits[:2]
    config = SurrogateConfig(steps=1, lr=1e-3, prior_weight=0.0)
    objective = FineTunedSurrogate(pipelines[:1], config)
    weight = objective.trainable["unet"].conv_in.weight
    start = weight.detach().clone()
    objective.start_round(clean, seeded())
    attacked = weight.detach().clone()
    objective.end_round(protected, seeded(1))
    # by hand: the attacked model learned the clean images, the next one the protected ones alone
    for images, seed, expected in ((clean, 0, attacked), (protected, 1, weight)):
        alone = FineTunedSurrogate(pipelines[:1], config)
        alone.fine_tune(images, 1, seeded(seed))
        learned = alone.trainable["unet"].conv_in.weight
        assert torch.equal(learned, expected)
        assert not torch.equal(learned, start)
    # the next round goes on from there
    objective.start_round(clean, seeded(2))
    assert torch.equal(objective.saved_state["unet.conv_in.weight"], learned)


def test_simac_removes_the_timesteps_of_small_gradients():
    """Gradients grow with the timestep, so that late timesteps remain."""
    objective = SimAC(["m"], window=2, candidates=8, rounds=500)
    image = torch.full((1, 3, 2, 2), 0.5)
    kept = objective.keep(lambda x, t: torch.full_like(x, t + 1.0), image, 40, seeded())
    assert len(kept) <= 4
    assert kept.float().mean() > 30
    # with one candidate and one round, its neighborhood is removed, moved inside of the schedule
    objective = SimAC(["m"], window=2, candidates=1, rounds=1)
    (drawn,) = torch.randint(0, 40, (1,), generator=seeded()).tolist()
    kept = objective.keep(lambda x, t: torch.ones_like(x), image, 40, seeded())
    center = min(max(drawn, 2), 38)
    removed = set(range(40)) - set(kept.tolist())
    assert removed == set(range(center - 2, center + 2))


def test_simac_moves_the_image_within_its_budget_while_it_chooses():
    seen = []

    def gradient_at(image, timestep):
        seen.append(image)
        return torch.ones_like(image)

    settings = {"window": 1, "rounds": 8, "selection_step": 2.0, "selection_budget": 5.0}
    SimAC(["m"], **settings).keep(gradient_at, torch.full((1, 3, 2, 2), 0.5), 1000, seeded())
    moves = sorted({round(float((image - 0.5).max()) * 255) for image in seen})
    assert moves == [0, 2, 4, 5]


def test_simac_records_the_last_up_blocks_convolutions():
    unet = nn.Module()
    blocks = [nn.ModuleDict({"conv2": nn.Conv2d(1, 1, 1)}) for _ in range(3)]
    for block in blocks:
        block.conv2 = block["conv2"]
    unet.up_blocks = [None, nn.Module()]
    unet.up_blocks[-1].resnets = blocks
    image = torch.rand(2, 1, 4, 4)
    with FeatureRecorder(unet) as features:
        outputs = [block.conv2(image) for block in blocks]
        assert torch.equal(features.take(), torch.stack(outputs, dim=1))
    blocks[0].conv2(image)
    assert features.recorded == []


def test_simacs_loss_is_that_of_aspl_and_the_features_distance(pipelines, portraits):
    images = portraits[:2]
    objective = SimAC(pipelines[:1], SHORT, rounds=1)
    plain = SimAC(pipelines[:1], SHORT, rounds=1, feature_weight=0.0)
    for one in (objective, plain):
        one.start_round(images, seeded())
        one.timesteps = [torch.tensor([3]), torch.tensor([700])]
        one.unprotected = images
    changed = (images + 0.05).clamp(0, 1)
    source = seeded(5)
    with torch.no_grad(), FeatureRecorder(objective.trainable["unet"]) as features:
        latents = objective.encode(changed, source)
        for _ in range(2):
            torch.randint(0, 1, (1,), generator=source)  # a choice of one timestep
        noise = torch.randn(latents.shape, generator=source)
        times = torch.tensor([3, 700])
        loss = objective.error(latents, noise, times, SHORT.instance_prompt)
        of_protected = features.take()
        objective.error(objective.encode(images, source), noise, times, SHORT.instance_prompt)
        distance = (of_protected - features.take()).square().mean(dim=(1, 2, 3, 4))
        assert torch.allclose(plain(changed, seeded(5)), loss)
        assert torch.allclose(objective(changed, seeded(5)), loss + distance)
    with pytest.raises(ValueError, match=r"cannot be used with pgd\.universal"):
        objective(images[:1], seeded())


def test_caat_lowers_by_keys_and_values_what_it_raises_by_the_images(pipelines, portraits):
    images = portraits[:1] * 0.5 + 0.25
    objective = CAAT(pipelines[:1], lr=1e-3)
    objective.start_round(images, seeded())
    before = {name: value.clone() for name, value in objective.trainable.state_dict().items()}
    moved = pgd(images, [objective], 6, STEP, seeded()) - images
    after = {name: value.clone() for name, value in objective.trainable.state_dict().items()}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.endswith(("attn2.to_k.weight", "attn2.to_v.weight")) for name in changed)
    # the same draws as in the ascent: gradients of images and weights before the step
    objective.trainable.load_state_dict(before)
    image = images.clone().requires_grad_()
    loss = objective.denoising_loss(image, objective.prompt, seeded())
    by_image, by_weight = torch.autograd.grad(loss.sum(), [image, objective.key_values[0]])
    assert torch.equal(moved.sign(), by_image.sign())
    weight = dict(objective.trainable.named_parameters())
    name = next(name for name in weight if weight[name] is objective.key_values[0])
    step = (before[name] - after[name])[by_weight != 0]
    assert (step.sign() == by_weight[by_weight != 0].sign()).float().mean() > 0.95


def test_metacloak_visits_the_states_of_a_training_in_turn(pipelines, portraits):
    objective = MetaCloak(pipelines[:1], SHORT, pool_steps=2, interval=1, advance=1)
    images = portraits[:2]
    weight = objective.trainable["unet"].conv_in.weight
    seen = []
    for number in range(4):
        objective.start_round(images, seeded(number))
        seen.append(weight.detach().clone())
        objective.end_round(images, seeded(number))
        assert not torch.equal(weight, seen[-1]), "it has learned the protected images"
    states = [state["unet.conv_in.weight"] for state in objective.pool]
    assert len(states) == 3
    assert torch.equal(states[0], objective.initial_state["unet.conv_in.weight"])
    assert not torch.equal(states[1], states[2])
    for visited, place in zip(seen, (0, 1, 2, 0), strict=True):
        assert torch.equal(visited, states[place])
    with pytest.raises(ValueError, match="advance <= interval"):
        MetaCloak(["m"], advance=3, interval=2)


@pytest.mark.parametrize("model", ["sd3", "flux"])
def test_a_surrogate_of_flow_matching_learns(flow_pipelines, portraits, model):
    config = SurrogateConfig(steps=1, lr=1e-3, prior_weight=0.0)
    objective = FineTunedSurrogate([flow_pipelines[model]], config)
    images = portraits[:1].clone().requires_grad_()
    objective.start_round(portraits[:1], seeded())
    loss = objective(images, seeded(1))
    before, after = objective.initial_state, objective.trainable.state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == set(objective.networks)
    assert torch.autograd.grad(loss.sum(), images)[0].abs().sum() > 0
    # the loss is that of the velocity
    source = seeded(1)
    with torch.no_grad():
        latents = objective.encode(portraits[:1], source)
        noise, _, steps = objective.schedule.draw(latents, source)
        t = ((steps + 0.5) / 1000).view(-1, 1, 1, 1)
        family, pipeline = objective.family, objective.pipeline
        velocity = family.predict(
            pipeline.transformer,
            (1 - t) * latents + t * noise,
            1000 * t.flatten(),
            family.encode(pipeline, [config.instance_prompt]),
        )
    assert loss.item() == pytest.approx(
        (velocity - (noise - latents)).square().mean().item(), rel=1e-3
    )


def test_objectives_that_read_a_unet_refuse_transformers(flow_pipelines, portraits):
    for objective in (SimAC([flow_pipelines["sd3"]]), CAAT([flow_pipelines["sd3"]])):
        with pytest.raises(ValueError, match=f"'{objective.name}' reads the layers of a UNet"):
            objective.start_round(portraits[:1], seeded())


def test_metacloak_flips_and_blurs_at_random():
    objective = MetaCloak(["m"], blur=False)
    image = torch.rand(2, 3, 8, 8, generator=seeded(1))
    for seed in range(6):
        side = torch.rand(2, generator=seeded(seed))[1]
        expected = image.flip(-1) if side < 0.5 else image
        assert torch.equal(objective.transform(image, seeded(seed)), expected)
    width = float(torch.rand(2, generator=seeded(2))[0])
    blurred = MetaCloak(["m"], flip=False).transform(image, seeded(2))
    assert torch.equal(blurred, gaussian_blur(image, 0.1 + 1.9 * width))


def test_high_frequencies_are_those_of_patches():
    checkers = (torch.arange(8)[:, None] + torch.arange(8)[None]) % 2 * 2.0 - 1
    ramp = torch.ones(8, 8)
    images = torch.stack([checkers, ramp])[:, None]
    assert torch.allclose(high_frequencies(images, 4, 0.5), torch.tensor([1.0, 0.0]))
    assert torch.allclose(high_frequencies(images, 4, 0.0), torch.tensor([1.0, 1.0]))
    with pytest.raises(ValueError, match="no multiple"):
        high_frequencies(images, 3, 0.5)


class Denoiser(nn.Module):
    """Predicts the noisy image times the timestep over ten."""

    class config:
        sample_size = 8

    def forward(self, noisy, timesteps):
        output = noisy * (timesteps.view(-1, 1, 1, 1) / 10)
        return type("Output", (), {"sample": output})


def test_purifier_guidance_fuses_its_three_terms():
    settings = {"patch": 4, "cutoff": 0.0, "wrong_timestep": 1.0, "timestep_range": (0.0, 1.0)}
    weights = {"denoising_weight": 2.0, "frequency_weight": 3.0, "timestep_weight": 5.0}
    objective = PurifierGuidance(["m"], **settings, **weights)
    objective.networks, objective.alphas = [Denoiser()], [torch.full((11,), 0.25)]
    images = torch.rand(2, 3, 8, 8, generator=seeded(1))
    value = objective(images, seeded())
    source = seeded()
    noise = torch.randn(images.shape, generator=source)
    times = torch.randint(0, 11, (2,), generator=source).view(-1, 1, 1, 1)
    pixels = images * 2 - 1
    noisy = 0.5 * pixels + 0.75**0.5 * noise
    predicted = noisy * times / 10
    denoising = (predicted - noise).square().mean(dim=(1, 2, 3))
    change = ((noisy - 0.75**0.5 * predicted) / 0.5 - pixels).square().mean(dim=(1, 2, 3))
    wrong = (predicted - noisy).square().mean(dim=(1, 2, 3))
    assert torch.allclose(value, 2 * denoising - 3 * change - 5 * wrong, rtol=1e-4)


def test_purifier_guidance_opens_an_unconditional_pipeline(portraits):
    ddpm = str(ROOT / "checkpoints" / "tiny" / "ddpm")
    objective = PurifierGuidance([ddpm])
    assert objective.weights()[0]["sha256"]
    images = portraits[:1]
    protected = pgd(images, [objective], 6, STEP, seeded())
    assert (protected - images).abs().max() > 0
