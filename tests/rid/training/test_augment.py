"""Edits between generator and models."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from images.io import to_levels
from rid.generator import PerturbationGenerator
from rid.noise import Rows
from rid.training.augment import RobustnessConfig, edit, jpeg, rounded
from rid.training.task import RIDTask


def test_the_imitated_jpeg_is_near_the_real_one(portraits):
    coded = jpeg(portraits, 75)
    for image, imitation in zip(portraits, coded, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(to_levels(image).permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=75)
        real = torch.from_numpy(np.asarray(Image.open(buffer)).copy()).permute(2, 0, 1) / 255
        assert (imitation - real).abs().mean() < 0.5 * (real - image).abs().mean()


def test_sides_need_not_fit_the_blocks():
    assert jpeg(torch.rand(1, 3, 50, 65), 60).shape == (1, 3, 50, 65)


def test_rounding_keeps_the_gradient():
    images = torch.rand(1, 3, 4, 4, requires_grad=True)
    output = rounded(images)
    assert torch.equal((output * 255).round(), (images * 255).round())
    assert torch.allclose(output * 255, (output * 255).round(), atol=1e-4)
    output.sum().backward()
    assert torch.equal(images.grad, torch.ones_like(images))


@pytest.mark.parametrize("config", [RobustnessConfig(), RobustnessConfig(None, blur=1.5), RobustnessConfig(None, resize=0.5)])
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


@pytest.mark.parametrize("settings", [{"jpeg": (90.0, 50.0)}, {"jpeg": (0.0, 50.0)}, {"blur": -1.0}, {"resize": 0.0}])
def test_settings_that_make_no_sense(settings):
    with pytest.raises(ValueError, match="got"):
        RobustnessConfig(**settings)


def test_training_goes_through_the_edit_and_back_to_the_generator(pipelines, portraits):
    from rid.ensemble import DiffusionEnsemble

    torch.manual_seed(0)
    generator = PerturbationGenerator(image_size=64, patch_size=16, width=16, depth=2, heads=2)
    task = RIDTask(generator, pipelines[:1], robustness=RobustnessConfig(), activation_checkpointing=True)
    task.ensemble = DiffusionEnsemble(pipelines[:1], offload=True)
    losses = set()
    for seed in (0, 1, 2, 3):
        task.zero_grad()
        loss = task._terms({"image": portraits[:2]}, Rows(torch.Generator().manual_seed(seed)))["adv_sds"]
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
