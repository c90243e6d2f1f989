"""What a file's header tells."""

import numpy as np

from images.headers import read_header
from images.io import encode_as


def test_jpeg_quality_is_read_from_the_tables():
    levels = np.random.default_rng(0).integers(0, 255, (16, 24, 3), dtype=np.uint8)
    for quality in (1, 20, 50, 75, 90, 96, 100):
        header = read_header(encode_as(levels, "jpg", quality))
        assert (header.jpeg_quality, header.chroma) == (quality, "4:2:0")
    assert read_header(b"no picture") is None
