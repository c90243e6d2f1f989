"""Color and brightness."""

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import functional as vision

from images.transforms.color import (
    Brightness,
    Contrast,
    Gamma,
    Grayscale,
    Hue,
    adjust_saturation,
    jitter,
    quantize,
)

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
IMAGE = Image.fromarray(RGB)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 2.0])
def test_factors_are_torchvision_s_on_pillow_images(factor):
    assert np.array_equal(
        Brightness(factor)(RGB, rng()), np.asarray(vision.adjust_brightness(IMAGE, factor))
    )
    assert np.array_equal(
        Contrast(factor)(RGB, rng()), np.asarray(vision.adjust_contrast(IMAGE, factor))
    )
    assert np.array_equal(
        adjust_saturation(RGB, factor), np.asarray(vision.adjust_saturation(IMAGE, factor))
    )


def test_hue_turns_the_circle():
    red = np.full((2, 2, 3), (255, 0, 0), np.uint8)
    assert np.abs(Hue(1 / 3)(red, rng()).astype(int) - (0, 255, 0)).max() <= 6
    assert np.abs(Hue(-1 / 3)(red, rng()).astype(int) - (0, 0, 255)).max() <= 6


def test_gray_has_one_value_in_all_channels():
    gray = Grayscale()(RGB, rng())
    assert gray.shape == RGB.shape
    assert np.array_equal(gray[..., 0], gray[..., 2])


def test_gamma():
    assert Gamma(2.0)(np.full((1, 1, 3), 128, np.uint8), rng()).ravel().tolist() == [64, 64, 64]


def test_few_colors():
    assert len(np.unique(quantize(RGB, 4).reshape(-1, 3), axis=0)) == 4


def test_jitter_of_strength_zero_changes_nothing_and_others_repeat():
    assert np.array_equal(jitter(RGB, 0.0, rng()), RGB)
    assert np.array_equal(jitter(RGB, 0.4, rng(1)), jitter(RGB, 0.4, rng(1)))
    assert not np.array_equal(jitter(RGB, 0.4, rng(1)), jitter(RGB, 0.4, rng(2)))
