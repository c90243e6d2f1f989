import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.exact import read_exactly
from datamodules.shards import find_shards
from images.transforms.views import View
from tiny.procedural import KINDS, procedural
from tiny.unlike import UnlikeSizes, close_up, make_unlike_shards


@settings(max_examples=15)
@given(number=st.integers(0, 10_000), size=st.integers(16, 96))
def test_a_procedural_image_depends_on_its_number_alone(number, size):
    image = procedural(number, size)
    assert (image.shape, image.dtype) == ((size, size, 3), np.uint8)
    assert (image == procedural(number, size)).all()
    assert image.std() > 0
    assert (image != procedural(number + len(KINDS), size)).any()


def test_close_ups_are_parts_of_different_people():
    first, second = close_up(0), close_up(1)
    assert first.shape == (96, 96, 3)
    assert (first == close_up(0)).all()
    assert np.abs(first.astype(int) - second).mean() > 5


def test_shards_hold_every_kind(tmp_path):
    make_unlike_shards(tmp_path, UnlikeSizes(collages=2, procedural=3, close_ups=4))
    shards = find_shards(f"{tmp_path}/calibration-*.tar")
    samples = list(read_exactly(shards, View("crop", size=64, resize=64)))
    kinds = [sample["record"]["subset"] for sample in samples]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "collages": 2,
        "procedural": 3,
        "close-ups": 4,
    }
