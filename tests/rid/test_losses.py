import pytest
import torch

from models.noise import diffuse
from rid.losses import adv_sds_loss, common_share, regression_loss


def test_adv_sds_value_and_gradient_are_the_closed_forms():
    torch.manual_seed(0)
    latents = torch.randn(3, 4, 8, 8, requires_grad=True)
    noise, predicted, signal = (
        torch.randn(3, 4, 8, 8),
        torch.randn(3, 4, 8, 8),
        torch.tensor([0.1, 0.5, 0.9]),
    )
    noisy = diffuse(latents, noise, signal)
    loss = adv_sds_loss(noisy, predicted, noise, signal)
    weight = (1 - signal).view(-1, 1, 1, 1)
    assert loss.item() == pytest.approx(
        0.5 * (weight * (predicted - noise)).square().mean().item(), rel=1e-6
    )
    loss.backward()
    expected = -signal.view(-1, 1, 1, 1).sqrt() * weight * (predicted - noise) / latents.numel()
    assert torch.allclose(latents.grad, expected, atol=1e-9)


def test_the_gradient_is_the_same_with_and_without_the_unets_graph():
    torch.manual_seed(0)
    unet = torch.nn.Conv2d(4, 4, 3, padding=1)
    latents = torch.randn(2, 4, 8, 8)
    noise, signal = torch.randn_like(latents), torch.tensor([0.3, 0.7])
    gradients = []
    for track in (True, False):
        z = latents.clone().requires_grad_()
        noisy = diffuse(z, noise, signal)
        with torch.set_grad_enabled(track):
            predicted = unet(noisy)
        adv_sds_loss(noisy, predicted, noise, signal).backward()
        gradients.append(z.grad)
    assert torch.equal(*gradients)


def test_regression_norms():
    a, b = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 3.0])
    assert regression_loss(a, b, "l1") == 1
    assert regression_loss(a, b, "l2") == 2


def test_the_common_share_is_1_for_one_pattern_and_0_for_independent_ones():
    torch.manual_seed(0)
    pattern = torch.randn(1, 3, 16, 16)
    assert float(common_share(pattern.expand(5, -1, -1, -1))) == pytest.approx(1, abs=1e-6)
    shares = torch.stack([common_share(torch.randn(5, 3, 16, 16)) for _ in range(200)])
    assert abs(float(shares.mean())) < 0.005
    half = (pattern + torch.randn(4000, 3, 16, 16)) / 2**0.5
    assert float(common_share(half)) == pytest.approx(0.5, abs=0.05)
