"""Edits between generator and models."""

import pytest
import torch

from rid.generator import PerturbationGenerator
from rid.noise import ShardedGenerator
from rid.training.augment import RobustnessConfig, edit
from rid.training.task import RIDTask


def test_edits_that_are_switched_on():
    assert RobustnessConfig(None).kinds() == ["none"]
    assert RobustnessConfig(blur=1.0, resize=0.5).kinds() == ["none", "jpeg", "blur", "resize"]


@pytest.mark.parametrize(
    "config",
    [RobustnessConfig(), RobustnessConfig(None, blur=1.5), RobustnessConfig(None, resize=0.5)],
)
def test_every_edit_changes_pictures_and_lets_gradients_through(portraits, config):
    changed = 0
    for seed in range(8):
        images = portraits[:2].clone().requires_grad_()
        output = edit(images, config, torch.Generator().manual_seed(seed))
        assert output.shape == images.shape
        assert 0 <= output.min() <= output.max() <= 1
        changed += bool((output - images).abs().max() > 2 / 255)
        output.sum().backward()
        assert images.grad.isfinite().all()
        assert images.grad.abs().sum() > 0
    assert 0 < changed < 8, "none is always among the draws"


@pytest.mark.parametrize(
    "settings", [{"jpeg": (90.0, 50.0)}, {"jpeg": (0.0, 50.0)}, {"blur": -1.0}, {"resize": 0.0}]
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(ValueError, match="got"):
        RobustnessConfig(**settings)


def test_training_goes_through_the_edit_and_back_to_the_generator(pipelines, portraits):
    from rid.ensemble import DiffusionEnsemble

    torch.manual_seed(0)
    generator = PerturbationGenerator(image_size=64, patch_size=16, width=16, depth=2, heads=2)
    task = RIDTask(
        generator, pipelines[:1], robustness=RobustnessConfig(), activation_checkpointing=True
    )
    task.ensemble = DiffusionEnsemble(pipelines[:1], offload=True)
    losses = set()
    for seed in (0, 1, 2, 3):
        task.zero_grad()
        loss = task._terms(
            {"image": portraits[:2]}, ShardedGenerator(torch.Generator().manual_seed(seed))
        )["adv_sds"]
        loss.backward()
        losses.add(float(loss.detach()))
        assert generator.to_pixels.weight.grad.abs().sum() > 0
    assert len(losses) == 4


def test_checkpointed_blocks_give_the_same_gradient(portraits):
    torch.manual_seed(0)
    generator = PerturbationGenerator(image_size=64, patch_size=16, width=16, depth=2, heads=2)
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    gradients = []
    for again in (False, True):
        generator.checkpointing = again
        generator.zero_grad()
        generator(portraits[:2]).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in generator.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
