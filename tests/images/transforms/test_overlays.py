"""What is drawn on and around images."""

import numpy as np
import pytest

from images.transforms.overlays import PAGES, MemeFormat, Screenshot, ScreenshotFrame

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("page", PAGES)
def test_the_frame_holds_the_whole_picture(page):
    (width, height), (left, top, right, bottom) = PAGES[page]
    shown = ScreenshotFrame(page)(np.full((50, 50, 3), 77, np.uint8), RNG)
    assert shown.shape == (height, width, 3)
    inside = shown[top:bottom, left:right]
    assert (inside == 77).all(axis=2).sum() == pytest.approx(
        min(right - left, bottom - top) ** 2, rel=0.02
    )


def test_a_filled_frame_leaves_no_black():
    _, (left, top, right, bottom) = PAGES["web"]
    shown = ScreenshotFrame("web", fill=True)(np.full((50, 50, 3), 77, np.uint8), RNG)
    assert (shown[top:bottom, left:right] == 77).all()


def test_a_meme_keeps_its_image_below_the_banner():
    rgb = RNG.integers(0, 256, (30, 200, 3), np.uint8)
    meme = MemeFormat()(rgb, RNG)
    assert np.array_equal(meme[250:], rgb)
    assert (meme[:250] < 50).any()


def test_a_screenshot_has_a_light_page_around_the_image():
    page = Screenshot()(np.zeros((50, 50, 3), np.uint8), RNG)
    assert page.shape[0] > 40
    assert page[0, 0].min() > 230
