import math

import pytest
import torch

from eval.metrics.quality import brisque, fidelity, quantize


def test_fidelity_of_a_known_change(portraits):
    clean = quantize(portraits)
    changed = clean.clone()
    changed[0, 0, 0, 0] = (changed[0, 0, 0, 0] + 0.5) % 1
    changed = quantize(changed)
    measured = fidelity(changed, clean)
    error = (changed - clean).square().mean().item()
    assert measured["psnr"] == pytest.approx(-10 * math.log10(error), rel=1e-4)
    assert measured["levels"] == pytest.approx(255 * (changed - clean).abs().max().item(), abs=0.5)
    assert measured["ssim"] < 1


def test_brisque_calls_a_blurred_picture_worse(portraits):
    pytest.importorskip("brisque", reason="the optional package needs a compiler to install")
    large = torch.nn.functional.interpolate(portraits[:2], scale_factor=2, mode="bilinear")
    noisy = (
        large + 0.3 * torch.randn(large.shape, generator=torch.Generator().manual_seed(0))
    ).clamp(0, 1)
    assert brisque(noisy) > brisque(large)
