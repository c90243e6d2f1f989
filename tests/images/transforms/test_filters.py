"""Blur, noise and exchanged pixels."""

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import functional as vision

from images.transforms.filters import Blur, GaussianBlur, Noise, mask_patches, shuffle_pixels

RGB = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_noise_has_its_deviation():
    noise = Noise(10.0)(np.full((200, 200, 3), 128, np.uint8), rng()).astype(float) - 128
    assert noise.std() == pytest.approx(10, rel=0.02)


def test_a_wider_blur_leaves_less():
    spread = [RGB.std(), Blur(1.0)(RGB, rng()).std(), Blur(3.0)(RGB, rng()).std()]
    assert spread[0] > spread[1] > spread[2]


def test_the_kernel_s_blur_is_torchvision_s():
    expected = vision.gaussian_blur(Image.fromarray(RGB), [11, 11])
    assert np.array_equal(GaussianBlur(11)(RGB, rng()), np.asarray(expected))


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 9, 3), (2, 60, 3)])
def test_a_kernel_wider_than_the_image(shape):
    assert (
        GaussianBlur(29)(np.full(shape, 77, np.uint8), rng()).tolist()
        == np.full(shape, 77).tolist()
    )


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 7, 3)])
def test_shuffled_pixels_are_the_same_ones(shape):
    rgb = RGB[: shape[0], : shape[1]]
    shuffled = shuffle_pixels(rgb, 0.5, rng())
    assert shuffled.shape == rgb.shape
    assert sorted(shuffled.reshape(-1, 3).tolist()) == sorted(rgb.reshape(-1, 3).tolist())


def test_a_mask_leaves_what_is_beyond_the_last_square():
    white = np.full((40, 35, 3), 255, np.uint8)
    masked = mask_patches(white, 1.0, rng(3))
    assert (white == 255).all(), "the image itself is left alone"
    assert (masked == 0).any()
    assert (masked[32:] == 255).all()
    assert (masked[:, 32:] == 255).all()
