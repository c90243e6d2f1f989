"""Lossy round trips."""

import io

import numpy as np
import pytest
from PIL import Image

from images.transforms.codecs import JPEG, RandomJPEG, WebP, jpeg, webp

RGB = np.asarray(
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 17, 3), np.uint8)).resize(
        (60, 40)
    )
)


def saved(codec, **options):
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, codec, **options)
    return np.asarray(Image.open(buffer))


@pytest.mark.parametrize("quality", [1, 50, 100])
def test_jpeg_is_pillow_s_file(quality):
    assert np.array_equal(jpeg(RGB, quality), saved("JPEG", quality=quality))
    assert np.array_equal(
        jpeg(RGB, quality, "4:4:4"), saved("JPEG", quality=quality, subsampling=0)
    )


def test_webp_is_pillow_s_file():
    assert np.array_equal(webp(RGB, 30), saved("WEBP", quality=30))
    assert np.array_equal(WebP(30)(RGB, np.random.default_rng(0)), webp(RGB, 30))


def test_a_part_of_an_array_is_coded_as_its_copy():
    assert np.array_equal(jpeg(RGB[:, ::-1], 50), jpeg(np.ascontiguousarray(RGB[:, ::-1]), 50))


def test_jpeg_twice():
    assert np.array_equal(JPEG(50, times=2)(RGB, np.random.default_rng(0)), jpeg(jpeg(RGB, 50), 50))


def test_a_random_quality_is_one_of_those_given():
    made = {RandomJPEG((30, 90))(RGB, np.random.default_rng(seed)).tobytes() for seed in range(20)}
    assert made == {jpeg(RGB, 30).tobytes(), jpeg(RGB, 90).tobytes()}


@pytest.mark.parametrize("edit", [JPEG, WebP])
@pytest.mark.parametrize("quality", [0, 101])
def test_a_quality_out_of_range_is_refused(edit, quality):
    with pytest.raises(ValueError, match=f"quality is from 1 to 100, got {quality}"):
        edit(quality)
