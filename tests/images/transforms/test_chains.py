"""Chains: what they are made of, that they repeat, and how often they have what."""

from collections import Counter

import numpy as np
import pytest

from images.transforms import Chain, RandomChain
from images.transforms.chains import PRIMITIVES
from images.transforms.codecs import JPEG, jpeg
from images.transforms.geometry import LongestSide

RNG = np.random.default_rng(0)
PICTURE = np.asarray(LongestSide(60)(RNG.integers(0, 256, (90, 120, 3), np.uint8), RNG))


def test_a_chain_is_its_edits_in_order():
    assert np.array_equal(Chain((JPEG(50), JPEG(20)))(PICTURE, RNG), jpeg(jpeg(PICTURE, 50), 20))
    assert Chain(())(PICTURE, RNG) is PICTURE


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_part_of_a_chain_repeats_and_takes_tiny_pictures(name):
    for picture in (PICTURE, PICTURE[:9, :7], PICTURE[:1, :1]):
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
        assert [counts[name] / 3000 for name in names] == pytest.approx(
            [share] * len(names), abs=0.035
        )
    assert all("crop" not in chain[1:] for chain in drawn)
    assert all("palette" not in chain[:-1] for chain in drawn)
    RandomChain()(PICTURE, np.random.default_rng(1))
    assert np.array_equal(before, np.random.get_state()[1])
