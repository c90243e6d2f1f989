"""The edits: what they make of a picture, that they repeat, and how often chains have what."""

from collections import Counter

import numpy as np
import pytest

from images.transforms import PAPER, SUITES, RandomChain, flat
from images.transforms.chain import PRIMITIVES, inscribed
from images.transforms.corruptions import LongestSide
from images.transforms.drawing import PAGES, ScreenshotFrame

RNG = np.random.default_rng(0)
PICTURE = np.asarray(LongestSide(60)(RNG.integers(0, 256, (90, 120, 3), np.uint8), RNG))


def test_the_paper_s_edits():
    assert [f"{kind} {parameter}".strip() for kind, parameter, _ in flat(PAPER)] == [
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
    assert len(flat(SUITES["sweep"])) == 104


@pytest.mark.parametrize(("kind", "parameter", "edit"), [part for part in flat(PAPER) if part[0] != "auto"])
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


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_part_of_a_chain_repeats_and_takes_tiny_pictures(name):
    for picture in (PICTURE, PICTURE[:9, :7]):
        first, second = (PRIMITIVES[name](picture, np.random.default_rng(5)) for _ in range(2))
        assert first.dtype == np.uint8
        assert first.ndim == 3
        assert first.shape[2] == 3
        assert np.array_equal(first, second)


def test_chains_have_the_frequencies_of_the_paper_and_leave_numpy_alone():
    np.random.seed(4)
    before = np.random.get_state()[1].copy()
    drawn = [RandomChain().draw(np.random.default_rng(seed)) for seed in range(3000)]
    counts = Counter(name for chain in drawn for name in chain)
    assert np.mean([len(chain) for chain in drawn]) == pytest.approx(3, abs=0.06)
    for names, share in (
        (("sticker", "text"), 0.375),
        (("brightness", "grayscale"), 0.25),
        (("jpeg", "palette"), 0.125),
        (("crop",), 0.107),
    ):
        assert [counts[name] / 3000 for name in names] == pytest.approx([share] * len(names), abs=0.035)
    assert all("crop" not in chain[1:] for chain in drawn)
    assert all("palette" not in chain[:-1] for chain in drawn)
    RandomChain()(PICTURE, np.random.default_rng(1))
    assert np.array_equal(before, np.random.get_state()[1])


def test_a_turned_picture_has_no_border():
    for degrees in (0.1, 20, 45, 70, 90):
        width, height = inscribed(120, 80, np.deg2rad(degrees))
        turned = PRIMITIVES["turned"](np.full((80, 120, 3), 200, np.uint8), np.random.default_rng(int(degrees)))
        assert min(width, height) > 0
        assert (turned > 150).mean() > 0.97


@pytest.mark.parametrize("page", PAGES)
def test_the_frame_holds_the_whole_picture(page):
    (width, height), (left, top, right, bottom) = PAGES[page]
    shown = ScreenshotFrame(page)(np.full((50, 50, 3), 77, np.uint8), RNG)
    assert shown.shape == (height, width, 3)
    inside = shown[top:bottom, left:right]
    assert (inside == 77).all(axis=2).sum() == pytest.approx(min(right - left, bottom - top) ** 2, rel=0.02)
