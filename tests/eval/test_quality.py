import math

import pytest
import torch

from eval.attacks.purification import DownUp
from eval.metrics.quality import brisque, fidelity, quantize
from eval.studies.arms import build_arms
from rid.pairs.config import PGDConfig
from rid.weights import load_generator


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


def test_all_arms_stay_within_one_budget_and_repeat(portraits, pipelines, generator_folder):
    generator = load_generator(str(generator_folder))
    arms = build_arms(
        ["clean", "noise", "rid", "pgd", "pgd_eot"],
        generator,
        pipelines,
        PGDConfig(steps=2, step_size=6),
        [None, DownUp(0.5)],
    )
    clean = quantize(portraits)
    for name, arm in arms.items():
        protected = arm(portraits, 3)
        levels = fidelity(protected, clean)["levels"]
        assert levels == (0 if name == "clean" else 6), name
        assert torch.equal(protected, quantize(protected))
        assert torch.equal(protected, arm(portraits, 3))


def test_an_unknown_arm(pipelines, generator_folder):
    with pytest.raises(
        ValueError, match="unknown arm mist; the arms are clean, noise, rid, rid_tile, pgd, pgd_eot"
    ):
        build_arms(["mist"], load_generator(str(generator_folder)), pipelines, PGDConfig())
    with pytest.raises(ValueError, match="edits is empty"):
        build_arms(["pgd_eot"], load_generator(str(generator_folder)), pipelines, PGDConfig())
