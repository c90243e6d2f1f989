"""Sizes and places, against torchvision where it does the same."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import functional as vision

from images.io import Photo
from images.transforms.geometry import center_crop_photo, center_window, covering_size, resize_center_crop

SIDES = st.integers(1, 90)


def image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(SIDES, SIDES, SIDES)
def test_the_square_in_the_middle_is_torchvision_s_on_pillow_images(height, width, side):
    rgb = image(height, width)
    expected = vision.center_crop(vision.resize(Image.fromarray(rgb), [side]), [side, side])
    assert np.array_equal(resize_center_crop(rgb, side), np.asarray(expected))


def test_transparency_is_cropped_with_its_photo():
    rgb = image(40, 60)
    photo = center_crop_photo(Photo(rgb, rgb[..., 0].copy(), b"profile"), 16)
    assert photo.rgb.shape == (16, 16, 3)
    assert photo.alpha is not None
    assert photo.alpha.shape == (16, 16)
    assert photo.icc == b"profile"


def test_a_covering_size_keeps_proportions_and_reaches_both_sides():
    assert covering_size((100, 200), (50, 50)) == (50, 100)
    assert covering_size((100, 200), (50, 150)) == (75, 150)
    assert covering_size((3, 7), (2, 2)) == (2, 5)


def test_a_window_in_the_middle_leaves_the_extra_pixel_below_and_right():
    assert center_window((7, 10), (4, 4)) == (slice(1, 5), slice(3, 7))
    assert center_window((3, 10), (4, 4)) == (slice(0, 3), slice(3, 7))
