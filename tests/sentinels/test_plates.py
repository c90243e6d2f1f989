"""Keys on an image, and where they lie."""

import cv2
import numpy as np
import pytest

from images.photo import Photo
from sentinels.placement import saliency
from sentinels.plate import PlateStyle, set_key
from sentinels.view import retriever_view


def test_a_key_changes_its_place_and_nothing_else(portraits):
    rgb = (portraits[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    large = np.kron(rgb, np.ones((3, 3, 1), np.uint8))
    plate = set_key(large, "BCDFGH", np.random.default_rng(1))
    assert plate.rgb.shape == large.shape
    assert len(plate.centers) == 6
    assert (np.diff(plate.centers[:, 0]) > 0).all()
    far = np.ones(large.shape[:2], bool)
    low, high = (
        plate.corners.min(axis=0).astype(int) - 20,
        plate.corners.max(axis=0).astype(int) + 20,
    )
    far[max(0, low[1]) : high[1], max(0, low[0]) : high[0]] = False
    assert (plate.rgb[far] == large[far]).all()
    assert (plate.rgb != large).any()
    again = set_key(large, "BCDFGH", np.random.default_rng(1))
    assert (again.rgb == plate.rgb).all()


@pytest.mark.parametrize("shape", [(120, 400), (400, 120), (201, 200)])
def test_a_key_lies_in_the_square_that_retrievers_see(shape):
    """And off what stands out, which is a disc in its lower half."""
    rgb = np.full((*shape, 3), (60, 110, 150), np.uint8)
    side, middle = min(shape), (shape[1] // 2, shape[0] // 2)
    cv2.circle(rgb, (middle[0], middle[1] + side // 6), side // 5, (240, 200, 40), -1)
    for seed in range(5):
        plate = set_key(rgb, "BCDFGH", np.random.default_rng(seed))
        off_center = np.abs(plate.corners - (np.array(shape[::-1]) - 1) / 2)
        assert (off_center <= side / 2).all()
        assert plate.centers[:, 1].mean() < middle[1]
    assert retriever_view(Photo(rgb)).shape == (224, 224, 3)
    hidden = Photo(rgb, np.zeros(shape, np.uint8))
    assert (retriever_view(hidden) == 255).all()


def test_saliency_is_higher_where_something_stands_out():
    square = np.full((100, 100, 3), 90, np.uint8)
    square[30:50, 55:75] = (250, 240, 10)
    heat = saliency(square)
    assert heat.mean() == pytest.approx(1, abs=0.05)
    assert heat[25:55, 50:80].mean() > 2 * heat[:, :30].mean()
    assert np.isfinite(saliency(np.zeros((64, 64, 3), np.uint8))).all()


def test_a_picture_may_be_too_small_for_a_key():
    with pytest.raises(ValueError, match="too small"):
        set_key(np.zeros((20, 200, 3), np.uint8), "BCDFGH", np.random.default_rng(0))
    with pytest.raises(ValueError, match="contrast"):
        PlateStyle(contrast=0)
