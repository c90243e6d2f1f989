"""Random histories: they repeat, vary in length and order, and take small images."""

import numpy as np
import pytest

from images.transforms import RandomHistory
from images.transforms.histories import KINDS

PICTURE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)


def test_a_history_depends_on_its_generator_alone():
    for seed in range(30):
        first, second = (RandomHistory()(PICTURE, np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(first, second)


@pytest.mark.parametrize("size", [(64, 64), (9, 7), (1, 1), (16, 300)])
def test_small_images_stay_images(size):
    picture = PICTURE[: size[0], :1].repeat(size[1], axis=1)
    for seed in range(30):
        edited = RandomHistory(longest=6)(picture, np.random.default_rng(seed))
        assert (edited.dtype, edited.ndim, edited.shape[2]) == (np.uint8, 3, 3)
        assert min(edited.shape[:2]) >= min(*size, *picture.shape[:2], 16)


def test_orders_and_lengths_vary_and_only_compression_repeats():
    drawn = [RandomHistory().draw(np.random.default_rng(seed)) for seed in range(2000)]
    lengths = np.bincount([len(history) for history in drawn])
    assert (np.abs(lengths[1:] - 500) < 80).all()
    assert {history[0] for history in drawn} == set(KINDS)
    assert all(history.count(kind) < 2 for history in drawn for kind in set(KINDS) - {"compress"})
    assert any(history.count("compress") == 2 for history in drawn)


def test_a_share_of_the_images_has_a_history():
    rng = np.random.default_rng(3)
    history = RandomHistory(share=0.3)
    edited = sum(history(PICTURE, rng) is not PICTURE for _ in range(400))
    assert 80 < edited < 160


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": 1.2},
        {"longest": 0},
        {"longest": 7},
        {"least_scale": 0},
        {"blur": -1},
        {"noise": -1},
        {"quality": (0, 90)},
        {"quality": (90, 50)},
    ],
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"a history's {next(iter(wrong))}"):
        RandomHistory(**wrong)
