"""Turning and mirroring."""

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as vision

from images.transforms.warps import (
    Flip,
    Rotation,
    inscribed_box,
    pad_to_square,
    perspective,
    rotate,
    rotate_inscribed,
)

RGB = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.mark.parametrize("degrees", [-33, 0, 25, 90])
def test_a_rotation_is_torchvision_s(degrees):
    expected = vision.rotate(Image.fromarray(RGB), degrees, InterpolationMode.BILINEAR, expand=True)
    assert np.array_equal(Rotation(degrees)(RGB, np.random.default_rng(0)), np.asarray(expected))


def test_a_rotation_keeps_the_size_unless_expanded():
    assert rotate(RGB, 45).shape == RGB.shape
    assert rotate(RGB, 45, expand=True).shape[0] > 60


def test_flips():
    assert np.array_equal(Flip()(RGB, np.random.default_rng(0)), RGB[:, ::-1])
    assert np.array_equal(Flip("vertical")(RGB, np.random.default_rng(0)), RGB[::-1])


def test_a_turned_image_has_no_border():
    for degrees in (0.1, 20, 45, 70, 90):
        width, height = inscribed_box(120, 80, np.deg2rad(degrees))
        assert min(width, height) > 0
        turned = rotate_inscribed(np.full((80, 120, 3), 200, np.uint8), degrees)
        assert (turned > 150).mean() > 0.97


def test_corners_left_where_they_are_change_nothing():
    still = perspective(RGB, np.zeros((4, 2)))
    assert np.abs(still.astype(int) - RGB).max() <= 1


def test_what_is_inside_the_corners_is_enlarged():
    framed = np.zeros((40, 60, 3), np.uint8)
    framed[8:32, 8:52] = 200
    assert (perspective(framed, np.full((4, 2), 8.0)) > 150).mean() > 0.97


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 50, 3), (2, 2, 3), (3, 4, 3)])
def test_an_image_whose_corners_meet_stays_as_it_is(shape):
    rgb = RGB[: shape[0], : shape[1]]
    assert np.array_equal(perspective(rgb, np.full((4, 2), (shape[1] / 4, shape[0] / 4))), rgb)


def test_padding_is_of_one_color_with_the_image_in_the_middle():
    padded = pad_to_square(RGB, np.array([1, 2, 3], np.uint8))
    assert padded.shape == (60, 60, 3)
    assert np.array_equal(padded[10:50], RGB)
    assert padded[0, 0].tolist() == [1, 2, 3]
