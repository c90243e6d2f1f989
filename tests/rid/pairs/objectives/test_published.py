"""The distinguishing step of each published protection, against a case computed by hand."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from images.io import save_png, to_rgb
from images.photo import Photo
from rid.ensemble import DiffusionEnsemble
from rid.pairs.objectives import Mist, PhotoGuardDiffusion, PhotoGuardEncoder, ScoreDistillation
from rid.pairs.objectives.mist import stripes
from tests.rid.pairs.objectives.world import SIGNAL, ByHand, gradient, noise_of

IMAGES = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize(("descend", "sign"), [(True, -1), (False, 1)])
def test_score_distillation_leaves_out_the_unets_jacobian(descend, sign):
    objective = ScoreDistillation(["m"], descend=descend)
    objective.ensemble = ByHand(factor=0.5)
    noise = noise_of(IMAGES)
    noisy = SIGNAL**0.5 * 2 * IMAGES + (1 - SIGNAL) ** 0.5 * noise
    # d latents / d images = 2; the UNet's own derivative of 0.5 does not appear
    expected = sign * 2 * (0.5 * noisy - noise)
    assert torch.allclose(gradient(objective, IMAGES), expected, atol=1e-6)


def test_mist_fuses_the_denoising_loss_with_the_distance_to_the_target():
    objective = Mist(["m"], rate=3.0)
    objective.ensemble = ByHand(factor=0.5)
    objective.start_round(IMAGES, torch.Generator())
    value = objective(IMAGES, torch.Generator().manual_seed(0))
    noise = noise_of(IMAGES)
    noisy = SIGNAL**0.5 * 2 * IMAGES + (1 - SIGNAL) ** 0.5 * noise
    semantic = (0.5 * noisy - noise).square().mean(dim=(1, 2, 3))
    textural = (2 * IMAGES - 2 * stripes(4)).square().sum(dim=(1, 2, 3))
    assert torch.allclose(value, 3 * semantic - textural)


def test_the_drawn_target_has_strong_contrast_and_a_small_period():
    image = stripes(512)
    assert set(image.unique().tolist()) == {0.0, 1.0}
    assert image.mean() == pytest.approx(0.5, abs=0.05)
    assert torch.equal(image[0, 0, :16, 0], torch.zeros(16))
    assert torch.equal(image[0, 0, 16:32, 0], torch.ones(16))


class HalfSize(nn.Module):
    """Autoencoder of mean latents 3 x; the decoder negates."""

    def encode(self, images):
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=3 * images))

    def decode(self, latents):
        return SimpleNamespace(sample=-latents)


def test_photoguards_encoder_attack_draws_mean_latents_to_the_target(tmp_path):
    objective = PhotoGuardEncoder(["m"])
    objective.autoencoders = [HalfSize()]
    objective.start_round(IMAGES, torch.Generator())
    expected = -(3 * (2 * IMAGES - 1)).flatten(1).norm(dim=1)
    assert torch.allclose(objective(IMAGES, torch.Generator()), expected)
    target = to_rgb(IMAGES[:1][0])
    save_png(Photo(target), tmp_path / "target.png")
    objective = PhotoGuardEncoder(["m"], target=str(tmp_path / "target.png"))
    objective.autoencoders = [HalfSize()]
    objective.start_round(IMAGES, torch.Generator())
    values = objective(IMAGES, torch.Generator())
    assert values[0] == pytest.approx(0, abs=0.1), "the target itself, up to rounding"
    expected = -(6 * (IMAGES[1] - IMAGES[0])).norm()
    assert values[1] == pytest.approx(float(expected), abs=0.1)


def test_photoguards_diffusion_attack_goes_through_the_edit_and_the_decoder():
    objective = PhotoGuardDiffusion(["m"], steps=1, num_noise_samples=1)
    objective.ensemble = ByHand(factor=0.5)
    objective.decoders = [HalfSize()]
    objective.start_round(IMAGES, torch.Generator())
    value = objective(IMAGES, torch.Generator().manual_seed(0))
    # one step to the clean latents: (noisy - sqrt(1 - signal) * predicted) / sqrt(signal)
    noisy = SIGNAL**0.5 * 2 * IMAGES + (1 - SIGNAL) ** 0.5 * noise_of(IMAGES)
    edited = (noisy - (1 - SIGNAL) ** 0.5 * 0.5 * noisy) / SIGNAL**0.5
    assert torch.allclose(value, -edited.flatten(1).norm(dim=1))
    # d edited / d images = 2 * (1 - sqrt(1 - signal) / 2), through the prediction
    slope = 2 * (1 - (1 - SIGNAL) ** 0.5 * 0.5)
    expected = -slope * edited / edited.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    assert torch.allclose(gradient(objective, IMAGES), expected, atol=1e-5)
    with pytest.raises(ValueError, match="strength is above 0"):
        PhotoGuardDiffusion(["m"], strength=0)


def test_the_targeted_shift_is_taken_after_one_ancestral_step():
    model, target = ByHand(factor=0.5), 1 - IMAGES
    value = DiffusionEnsemble.targeted_loss(model, IMAGES, target, torch.Generator().manual_seed(4))
    source = torch.Generator().manual_seed(4)
    noise = torch.randn(IMAGES.shape, generator=source)
    first = (torch.randint(0, 10, (2,), generator=source) == 0).view(-1, 1, 1, 1)
    assert first.flatten().tolist() == [False, True], "the first timestep, and another"
    noisy = SIGNAL**0.5 * 2 * IMAGES + (1 - SIGNAL) ** 0.5 * noise
    # the step from the first timestep ends at the clean latents; all others have one noise level
    clean = (noisy - (1 - SIGNAL) ** 0.5 * 0.5 * noisy) / SIGNAL**0.5
    goal = SIGNAL**0.5 * 2 * target + (1 - SIGNAL) ** 0.5 * noise
    shift = torch.where(first, clean - 2 * target, noisy - goal).square()
    expected = ((0.5 * noisy - noise).square() - shift).mean(dim=(1, 2, 3))
    assert torch.allclose(value, expected, rtol=1e-4)
