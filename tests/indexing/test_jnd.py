"""The heat map, against values computed once from its formulas."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from indexing.jnd import FLOOR, just_noticeable_difference


def heat(levels):
    """Heat map in grey levels of a grey (H, W) picture in grey levels."""
    picture = torch.as_tensor(np.asarray(levels, dtype=np.float32) / 255).expand(3, -1, -1)
    return 255 * just_noticeable_difference(picture)[0]


@pytest.mark.parametrize(
    ("value", "centre", "edge", "corner"),
    [
        (0, 19.462414, 19.462414, 19.462414),
        (16, 13.942076, 21.256065, 22.596901),
        (32, 11.449684, 22.167171, 23.981188),
        (64, 7.919984, 24.507071, 26.485807),
        (100, 5, 26.333174, 28.773973),
        (127, 5, 27.391876, 30.126703),
        (128, 5, 27.427713, 30.172791),
        (160, 5, 28.478708, 31.532804),
        (200, 5, 29.593992, 32.992931),
        (255, 6, 32.386162, 34.706795),
    ],
)
def test_flat_pictures(value, centre, edge, corner):
    found = heat(np.full((16, 16), value))
    assert [float(found[place]) for place in ((8, 8), (0, 8), (0, 0))] == pytest.approx(
        [centre, edge, corner], abs=2e-4
    )


def test_steps_count_alike_in_both_directions():
    step = np.full((16, 16), 50)
    step[:, 8:] = 200
    across, along = heat(step), heat(step.T)
    assert [float(across[8, 8]), float(across[8, 7]), float(across[4, 4])] == pytest.approx(
        [26.438713, 27.012413, 9.319714], abs=2e-4
    )
    assert [float(across.mean()), float(across.max())] == pytest.approx(
        [13.941140, 32.992931], abs=2e-4
    )
    assert torch.allclose(across, along.T, atol=1e-3)


def test_a_ramp():
    found = heat(np.tile(16 * np.arange(16), (16, 1)))
    assert [float(found[8, 8]), float(found[8, 7]), float(found[4, 4])] == pytest.approx(
        [14.637174, 15.339265, 18.064754], abs=2e-4
    )
    assert [float(found.mean()), float(found.max())] == pytest.approx(
        [19.172209, 34.054546], abs=2e-4
    )


def test_photographs():
    data = pytest.importorskip("skimage.data")
    for picture, mean, largest, floor in (
        (data.astronaut(), 12.051062, 32.697754, 0.1892),
        (data.chelsea(), 9.268661, 30.960180, 0.2189),
    ):
        found = 255 * just_noticeable_difference(
            torch.from_numpy(picture.copy()).permute(2, 0, 1).float() / 255
        )
        assert [float(found.mean()), float(found.max())] == pytest.approx([mean, largest], abs=1e-3)
        assert float((found <= FLOOR + 1e-4).float().mean()) == pytest.approx(floor, abs=1e-3)


@settings(max_examples=20)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 1000))
def test_a_batch_is_its_pictures_of_any_size(height, width, seed):
    pictures = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    both = just_noticeable_difference(pictures)
    assert both.shape == (2, 1, height, width)
    assert torch.allclose(both[1], just_noticeable_difference(pictures[1]), atol=1e-6)
    assert float(both.min()) * 255 >= FLOOR - 1e-4


def test_reflected_borders_are_no_edges():
    flat = torch.full((3, 16, 16), 128 / 255)
    assert 255 * float(just_noticeable_difference(flat, "reflect").max()) == pytest.approx(FLOOR)
