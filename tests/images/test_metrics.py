"""Measures of change are exact, and the same whether an image is compared whole or in parts."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from eval.metrics.quality import fidelity
from images.metrics import amplify_change, compare_images, max_change_and_psnr, psnr, ssim, ssim_map
from tests.images.files import drawn


def pair():
    before = np.asarray(drawn(130, 110))
    noise = np.random.default_rng(0).integers(-6, 7, before.shape)
    return before, np.clip(before + noise, 0, 255).astype(np.uint8)


def tensors(*images):
    return [torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 255 for rgb in images]


def test_psnr_by_its_definition():
    assert psnr(255**2 / 100) == pytest.approx(20)
    assert psnr(0.01, peak=1) == pytest.approx(20)
    assert psnr(0) == math.inf


def test_measures_are_those_of_the_library():
    before, after = pair()
    one, two = tensors(after, before)
    found = compare_images(before, after)
    assert (found["width"], found["height"], found["levels"]) == (130, 110, 6)
    assert found["psnr"] == pytest.approx(
        float(peak_signal_noise_ratio(one, two, data_range=1.0)), abs=1e-3
    )
    assert found["ssim"] == round(
        float(structural_similarity_index_measure(one, two, data_range=1.0)), 5
    )
    assert fidelity(one, two) == {
        "psnr": pytest.approx(float(peak_signal_noise_ratio(one, two, data_range=1.0)), rel=1e-6),
        "ssim": float(structural_similarity_index_measure(one, two, data_range=1.0)),
        "levels": 6,
    }


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (2, 3, 40, 77), (1, 3, 11, 300)])
def test_ssim_is_the_librarys_to_the_bit(shape):
    one = torch.rand(shape)
    two = (one + 0.05 * torch.randn(shape)).clamp(0, 1)
    score, similarity = structural_similarity_index_measure(
        one, two, data_range=1.0, return_full_image=True
    )
    assert ssim(one, two) == float(score)
    assert torch.equal(ssim_map(one, two), similarity)


def test_nothing_changed_and_too_small_for_ssim():
    before, after = pair()
    assert compare_images(before, before) == {
        "width": 130,
        "height": 110,
        "levels": 0,
        "psnr": None,
        "ssim": 1.0,
    }
    assert compare_images(before[:10], after[:10])["ssim"] is None
    assert max_change_and_psnr(before[:1], after[:1])[0] == 6


def test_a_large_image_is_compared_in_parts_to_the_same(monkeypatch):
    before, after = pair()
    whole = compare_images(before, after)
    monkeypatch.setattr("images.metrics.BAND_PIXELS", 1000)
    monkeypatch.setattr("images.metrics.TILE_SIDE", 32)
    parts = compare_images(before, after)
    assert parts["ssim"] == pytest.approx(whole["ssim"], abs=1e-5)
    assert {**parts, "ssim": whole["ssim"]} == whole


def test_the_amplified_change():
    before, after = pair()
    expected = np.clip(128 + 10.0 * (after.astype(int) - before), 0, 255).astype(np.uint8)
    assert np.array_equal(amplify_change(before, after), expected)
    assert amplify_change(
        np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)
    ).tolist() == [[[255] * 3]]
