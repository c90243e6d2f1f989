"""Edits of the robustness sweep."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from images.transforms.corruptions import JPEG, ROBUSTNESS, Blur, Crop, Gamma, LongestSide, Noise, Resize, Screenshot
from images.transforms.views import jpeg

EVERY = [(kind, level) for kind, levels in ROBUSTNESS.items() for level in levels]


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("kind", "level"), EVERY)
@settings(max_examples=5)
@given(st.integers(2, 70), st.integers(2, 70), st.integers(0, 9))
def test_any_picture_in_a_picture_out_and_the_same_again(kind, level, height, width, seed):
    rgb = rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    before, edit = rgb.copy(), ROBUSTNESS[kind][level]
    edited = edit(rgb, rng(seed))
    assert edited.dtype == np.uint8
    assert edited.ndim == 3
    assert edited.shape[2] == 3
    assert min(edited.shape[:2]) >= 1
    assert np.array_equal(rgb, before), "the picture itself is left alone"
    assert np.array_equal(edited, edit(rgb, rng(seed)))


def test_by_hand():
    rgb = rng().integers(0, 255, (40, 60, 3), dtype=np.uint8)
    assert np.array_equal(JPEG(50, times=2)(rgb, rng()), jpeg(jpeg(rgb, 50), 50))
    assert Resize(0.5)(rgb, rng()).shape == (20, 30, 3)
    assert LongestSide(30)(rgb, rng()).shape == (20, 30, 3)
    assert LongestSide(300)(rgb, rng()) is rgb
    assert Crop(0.5)(rgb, rng()).shape == (20, 30, 3)
    assert Gamma(2.0)(np.full((1, 1, 3), 128, np.uint8), rng()).ravel().tolist() == [64, 64, 64]
    noise = Noise(10.0)(np.full((200, 200, 3), 128, np.uint8), rng()).astype(float) - 128
    assert noise.std() == pytest.approx(10, rel=0.02)
    spread = [rgb.astype(float).std(), Blur(1.0)(rgb, rng()).astype(float).std(), Blur(3.0)(rgb, rng()).astype(float).std()]
    assert spread[0] > spread[1] > spread[2]
    page = Screenshot()(np.zeros((50, 50, 3), np.uint8), rng())
    assert page.shape[0] > 40
    assert page[0, 0].min() > 230, "the page around the picture"
