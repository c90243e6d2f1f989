"""Transparent images as they are seen on white."""

import numpy as np
import pytest

from images.photo import ON_WHITE, Photo

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def test_opaque_images_stay_to_the_bit():
    photo = Photo(RGB, notes=("other",))
    assert photo.on_white() is photo
    seen = Photo(RGB, np.full(RGB.shape[:2], 255, np.uint8), notes=("other",)).on_white()
    assert np.array_equal(seen.rgb, RGB)
    assert seen.alpha is None
    assert seen.notes == ("other",)


def test_every_color_and_opacity_is_rounded_to_the_nearest_level():
    level, alpha = np.meshgrid(np.arange(256), np.arange(256))
    photo = Photo(np.dstack([level] * 3).astype(np.uint8), alpha.astype(np.uint8), notes=("other",))
    exact = (level * alpha + 255.0 * (255 - alpha)) / 255
    seen = photo.on_white()
    assert np.array_equal(seen.rgb, np.dstack([np.rint(exact)] * 3))
    assert seen.alpha is None
    assert seen.notes == ("other", ON_WHITE)


def test_opacity_is_alpha_in_parts_of_one():
    alpha = np.full(RGB.shape[:2], 255, np.uint8)
    assert Photo(RGB).opacity() is None
    assert Photo(RGB, alpha).opacity() is None
    alpha[0, 1] = 51
    opacity = Photo(RGB, alpha).opacity()
    assert opacity.shape == (1, 5, 7)
    assert opacity[0, 0].tolist()[:3] == pytest.approx([1.0, 0.2, 1.0])
