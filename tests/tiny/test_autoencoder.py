import pytest
import torch

from tiny.autoencoder import build_autoencoder, contrast_loss, whiten


@pytest.fixture
def autoencoder():
    torch.manual_seed(0)
    network = build_autoencoder((8, 8, 16, 16), 6).eval()
    return network


@torch.no_grad()
def test_whitening_keeps_every_reconstruction(autoencoder, portraits):
    images = portraits * 2 - 1
    before = autoencoder.decode(autoencoder.encode(images).latent_dist.mode()).sample
    whiten(autoencoder, portraits)
    posterior = autoencoder.encode(images).latent_dist
    after = autoencoder.decode(posterior.mode()).sample
    assert torch.allclose(before, after, atol=1e-3)
    latents = posterior.mean.transpose(0, 1).flatten(1)
    assert torch.allclose(torch.cov(latents), torch.eye(6), atol=1e-2)
    assert latents.mean(dim=1).abs().max() < 1e-2
    assert autoencoder.config.scaling_factor == 1.0


def test_faint_texture_counts_like_strong_texture():
    torch.manual_seed(0)
    texture = torch.randn(1, 3, 32, 32)
    losses = [
        contrast_loss(torch.zeros_like(texture), gain * texture, floor=0.0).item()
        for gain in (0.01, 1.0)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert contrast_loss(texture, texture) == 0
