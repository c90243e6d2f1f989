"""PDQ, against the published library (pdqhash 0.2.8)."""

import numpy as np
import pytest

from images.pdq import SAME, near_pairs, pdq
from images.transforms.codecs import jpeg

PUBLISHED = {
    (200, 300): ("62d6bfb476d6aab42aae54a4a5ee492bb2456cab994a66139862638d9c3963c3"),
    (512, 385): ("62d6aab472d6aab46aae55a4a5ee492bb2456cab914b66139866678d9c3963c3"),
    (97, 64): ("72568d1462558d54aaae56a4b5be692b93456eab99cb2713dc6223cfdc3921c3"),
}
"""Hashes of the published library, by height and width of the image."""


def waves(height: int, width: int, phase: float = 0.0):
    y, x = np.mgrid[:height, :width].astype(float)
    y, x = y / height, x / width
    red = np.sin(9 * x + 5 * y * y + phase) + np.sin(23 * x * y)
    green = np.sin(31 * y - 4 * x + 2 * phase)
    blue = np.cos(17 * (x - 0.4) ** 2 + 40 * y * x)
    return (127 + 60 * np.stack([red, 2 * green, 2 * blue], axis=2)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", PUBLISHED)
def test_it_is_the_published_hash(size):
    bits, quality = pdq(waves(*size))
    assert np.packbits(bits).tobytes().hex() == PUBLISHED[size]
    assert quality == 100


def test_copies_are_near_and_others_are_not():
    images = [waves(200, 300), waves(200, 300)[::-1], waves(200, 300)[:, ::-1]]
    hashes = np.stack([pdq(image)[0] for image in images])
    edited = np.stack([pdq(jpeg(image, 90))[0] for image in images])
    assert list(near_pairs(hashes, edited)) == [(0, 0), (1, 1), (2, 2)]
    assert all((one != other).sum() <= SAME for one, other in zip(hashes, edited, strict=True))


def test_a_flat_image_has_no_quality():
    assert pdq(np.full((64, 80, 3), 90, np.uint8))[1] == 0
