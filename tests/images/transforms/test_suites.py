"""The sets of edits: what they hold, and what each edit makes of an image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from images.transforms import PAPER, ROBUSTNESS, SUITES, flatten_suite
from images.transforms.geometry import LongestSide

RNG = np.random.default_rng(0)
PICTURE = np.asarray(LongestSide(60)(RNG.integers(0, 256, (90, 120, 3), np.uint8), RNG))


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("kind", "level"), [(kind, level) for kind, level, _ in flatten_suite(ROBUSTNESS)]
)
@settings(max_examples=5)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 9))
def test_any_picture_in_a_picture_out_and_the_same_again(kind, level, height, width, seed):
    rgb = rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    before = rgb.copy()
    edit = ROBUSTNESS[kind][level]
    edited = edit(rgb, rng(seed))
    assert edited.dtype == np.uint8
    assert edited.ndim == 3
    assert edited.shape[2] == 3
    assert min(edited.shape[:2]) >= 1
    assert np.array_equal(rgb, before), "the picture itself is left alone"
    assert np.array_equal(edited, edit(rgb, rng(seed)))


def test_the_paper_s_edits():
    assert [f"{kind} {parameter}".strip() for kind, parameter, _ in flatten_suite(PAPER)] == [
        "none",
        "auto",
        "meme_format",
        "overlay_onto_screenshot",
        "rotation 25",
        "rotation 90",
        "center_crop 0.5",
        "resize 0.5",
        "blur 11",
        "jpeg 50",
        "hue 0.2",
        "contrast 0.5",
        "contrast 2.0",
        "brightness 0.5",
        "brightness 2.0",
    ]
    assert len(flatten_suite(SUITES["sweep"])) == 104


@pytest.mark.parametrize(
    ("kind", "parameter", "edit"), [part for part in flatten_suite(PAPER) if part[0] != "auto"]
)
def test_shapes(kind, parameter, edit):
    height, width = PICTURE.shape[:2]
    expected = {
        "meme_format": (height + 250, width),
        "overlay_onto_screenshot": (736, 1200),
        "center_crop": (int(height * 0.5**0.5), int(width * 0.5**0.5)),
        "resize": (int(height * 0.5**0.5), int(width * 0.5**0.5)),
    }.get(kind, (height, width))
    if kind == "rotation":
        expected = (width, height) if parameter == "90" else expected
    changed = edit(PICTURE, np.random.default_rng(0))
    assert changed.dtype == np.uint8
    if (kind, parameter) != ("rotation", "25"):
        assert changed.shape == (*expected, 3)
    assert np.array_equal(changed, edit(PICTURE, np.random.default_rng(0)))
    assert kind == "none" or changed.shape != PICTURE.shape or not np.array_equal(changed, PICTURE)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 40, 3), (7, 9, 3)])
def test_every_edit_of_the_sweep_takes_tiny_pictures(shape):
    rgb = rng().integers(0, 256, shape, np.uint8)
    for kind, parameter, edit in flatten_suite(SUITES["sweep"]):
        edited = edit(rgb, rng())
        assert edited.dtype == np.uint8, (kind, parameter)
        assert edited.ndim == 3, (kind, parameter)
        assert min(edited.shape) >= 1, (kind, parameter)
