"""Several crops of one image: where they are, and at which scale."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from images.transforms.crops import Crops, covering, five
from images.transforms.views import View, to_tensor


def rng():
    return np.random.default_rng(0)


@given(side=st.integers(1, 40), height=st.integers(0, 90), width=st.integers(0, 90), part=st.data())
def test_covering_squares_leave_no_pixel_out(side, height, width, part):
    height, width = height + side, width + side
    stride = part.draw(st.integers(1, side))
    corners = covering(height, width, side, stride)
    seen = np.zeros((height, width), bool)
    for top, left in corners:
        seen[top : top + side, left : left + side] = True
    assert seen.all()
    assert len(corners) == len(set(corners))
    least = -(-(height - side) // stride) + 1, -(-(width - side) // stride) + 1
    assert len(corners) == least[0] * least[1]
    assert all(top + side <= height and left + side <= width for top, left in corners)


def test_tiles_and_five_crops_are_parts_of_the_image():
    rgb = rng().integers(0, 256, (90, 130, 3), dtype=np.uint8)
    tiles = Crops(View("crop", size=40, resize=40), "tiles")(rgb, rng())
    assert tiles.shape == (3 * 4, 3, 40, 40)
    assert torch.equal(tiles[0], to_tensor(rgb[:40, :40]))
    assert torch.equal(tiles[-1], to_tensor(rgb[50:, 90:]))
    assert torch.equal(tiles[1], to_tensor(rgb[:40, 30:70]))
    assert five(90, 130, 40) == [(0, 0), (0, 90), (50, 0), (50, 90), (25, 45)]
    crops = Crops(View("crop", size=40, resize=40), "five")(rgb, rng())
    assert torch.equal(crops[4], View("crop", size=40, resize=40)(rgb, rng()))


@pytest.mark.parametrize("policy", ["resize_crop", "random_resized_crop", "crop", "tile_crop"])
def test_crops_are_at_the_scale_of_the_view(policy):
    view = View(policy, size=32, resize=48)
    for shape in ((64, 96, 3), (20, 30, 3)):
        rgb = rng().integers(0, 256, shape, dtype=np.uint8)
        crops = Crops(view, "five")(rgb, rng())
        assert torch.equal(crops[4], view(rgb, rng())), "the center crop is the view"


def test_a_random_view_moves_the_whole_grid():
    rgb = rng().integers(0, 256, (90, 130, 3), dtype=np.uint8)
    crops = Crops(View("crop", size=40, resize=40, random=True), "tiles")
    first, other = (crops(rgb, np.random.default_rng(seed)) for seed in (1, 2))
    assert not torch.equal(first[0], other[0])
    exact = np.zeros((40, 40, 3), np.uint8)
    assert torch.equal(crops(exact, rng())[0], to_tensor(exact)), "there is no room to move"
