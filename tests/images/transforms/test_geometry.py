"""Sizes and places, against torchvision where it does the same."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import functional as vision

from images.photo import Photo
from images.transforms.geometry import (
    CenterCrop,
    CenterCropResize,
    CenterSquare,
    DownUp,
    LongestSide,
    RandomCrop,
    Resize,
    center_crop_photo,
    cover_crop,
    covering_size,
    limit_aspect,
    resize,
    resize_center_crop,
    scale_round_trip,
)
from images.transforms.windows import center_window, random_resized_window

SIDES = st.integers(1, 90)


def rng(seed=0):
    return np.random.default_rng(seed)


def image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(SIDES, SIDES, SIDES)
def test_the_square_in_the_middle_is_torchvision_s_on_pillow_images(height, width, side):
    rgb = image(height, width)
    expected = vision.center_crop(vision.resize(Image.fromarray(rgb), [side]), [side, side])
    assert np.array_equal(resize_center_crop(rgb, side), np.asarray(expected))


def test_strips_are_cut_to_the_middle_that_counts():
    strip = np.arange(60_000, dtype=np.uint32).astype(np.uint8)[None, :, None].repeat(3, axis=2)
    assert limit_aspect(strip).shape == (1, 100, 3)
    assert limit_aspect(strip.swapaxes(0, 1), ratio=20).shape == (20, 1, 3)
    assert limit_aspect(strip[..., 0]).shape == (1, 100)
    assert limit_aspect(strip, (1, 1000)).shape == strip.shape
    assert limit_aspect(strip, (10, 20)).shape == (1, 200, 3)
    assert limit_aspect(strip, (1000, 1)).shape == (1, 1, 3)
    assert np.array_equal(limit_aspect(strip), strip[:, 29_950:30_050])
    ordinary = image(30, 90)
    assert limit_aspect(ordinary).shape == ordinary.shape
    assert resize_center_crop(strip, 512).shape == (512, 512, 3)
    assert cover_crop(strip, 400, 600).shape == (400, 600, 3)


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
    assert center_window((7, 7), (4, 4), half_to_even=True) == (slice(2, 6), slice(2, 6))


@pytest.mark.parametrize("area", [0.1, 0.5, 1.0])
def test_the_middle_of_an_area_is_torchvision_s(area):
    rgb = image(57, 91)
    sides = [int(57 * area**0.5), int(91 * area**0.5)]
    assert np.array_equal(
        CenterCrop(area)(rgb, rng()), np.asarray(vision.center_crop(Image.fromarray(rgb), sides))
    )


@given(SIDES, SIDES, SIDES, SIDES)
def test_a_cover_fills_its_size(height, width, tall, wide):
    assert cover_crop(image(height, width), tall, wide).shape == (tall, wide, 3)


def test_a_cover_of_its_own_proportions_is_a_resize():
    rgb = image(40, 60)
    assert np.array_equal(cover_crop(rgb, 20, 30, "lanczos"), resize(rgb, 20, 30, "lanczos"))
    assert np.array_equal(cover_crop(rgb, 40, 20), rgb[:, 20:40])


def test_scaling_is_pillow_s_or_opencv_s():
    rgb = image(40, 60)
    assert np.array_equal(resize(rgb, 20, 30), np.asarray(Image.fromarray(rgb).resize((30, 20))))
    assert np.array_equal(
        resize(rgb, 20, 30, "cv2_area"), cv2.resize(rgb, (30, 20), interpolation=cv2.INTER_AREA)
    )
    assert np.array_equal(
        resize(rgb[:, ::-1], 20, 30), resize(np.ascontiguousarray(rgb[:, ::-1]), 20, 30)
    )
    assert resize(rgb, 0, 0).shape == (1, 1, 3)


def test_sizes_by_hand():
    rgb = image(40, 60)
    assert Resize(0.5)(rgb, rng()).shape == (20, 30, 3)
    assert LongestSide(30)(rgb, rng()).shape == (20, 30, 3)
    assert LongestSide(300)(rgb, rng()) is rgb
    assert RandomCrop(0.5)(rgb, rng()).shape == (20, 30, 3)
    assert np.array_equal(CenterSquare(20)(rgb, rng()), rgb[10:30, 20:40])
    assert CenterSquare(50)(rgb, rng()).shape == (40, 40, 3)


@given(SIDES, SIDES)
def test_round_trips_keep_the_size(height, width):
    rgb = image(height, width)
    assert DownUp()(rgb, rng()).shape == rgb.shape
    assert CenterCropResize()(rgb, rng()).shape == rgb.shape
    assert scale_round_trip(rgb, height // 3, width // 3).shape == rgb.shape


@given(SIDES, SIDES, st.integers(0, 99))
def test_a_random_window_lies_within_the_image(height, width, seed):
    rows, columns = random_resized_window((height, width), 0.2, rng(seed))
    assert 0 <= rows.start < rows.stop <= height
    assert 0 <= columns.start < columns.stop <= width
