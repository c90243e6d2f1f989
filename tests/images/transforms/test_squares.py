"""Center squares as tensors: as torch resizes whole images, in bounded memory."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from images.transforms import squares
from images.transforms.geometry import covering_size
from images.transforms.squares import center_square
from images.transforms.windows import center_window
from tests.conftest import ROOT

SIDES = st.integers(1, 90)


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def at_once(rgb, side):
    """The square of the whole image, resized in one step."""
    image = torch.from_numpy(rgb).permute(2, 0, 1).float().div_(255)
    size = covering_size(image.shape[-2:], (side, side))
    if size != image.shape[-2:]:
        image = F.interpolate(image.unsqueeze(0), size, mode="bilinear", antialias=True)[0]
    rows, columns = center_window(size, (side, side))
    return image.clamp(0, 1)[:, rows, columns]


@given(SIDES, SIDES, SIDES, st.sampled_from([1, 1000, 1 << 24]))
def test_squares_are_those_of_whole_images_to_the_bit(height, width, side, values):
    rgb = noise(height, width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(squares, "VALUES_AT_ONCE", values)
        assert torch.equal(center_square(rgb, side), at_once(rgb, side))


@pytest.mark.parametrize("size", [(1080, 1920), (1201, 800), (37, 512), (3000, 40)])
def test_squares_of_photos_are_those_of_whole_images_to_the_bit(size, monkeypatch):
    monkeypatch.setattr(squares, "VALUES_AT_ONCE", 1 << 16)
    rgb = noise(*size)
    for side in (64, 256, 512):
        assert torch.equal(center_square(rgb, side), at_once(rgb, side))


@pytest.mark.parametrize("size", [(1, 3000), (3001, 1), (2, 999)])
def test_the_middle_of_a_strip_is_that_of_the_whole_strip(size):
    values = np.linspace(0, 255, max(size)).round().astype(np.uint8)
    rgb = np.broadcast_to(values if size[1] > size[0] else values[:, None], size)
    rgb = np.repeat(rgb[..., None], 3, axis=2)
    assert torch.allclose(center_square(rgb, 16), at_once(rgb, 16), atol=1 / 255)


MEMORY = """
import resource
import numpy as np
from images.transforms.squares import center_square
rgb = np.zeros((9000, 12000, 3), np.uint8)
rgb[:] = 128
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for image in (rgb, rgb.reshape(-1, 900, 3), rgb[:1], rgb[:, :1]):
    square = center_square(image, 512)
    assert square.shape == (3, 512, 512) and float((square - 128 / 255).abs().max()) < 1e-6
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024)
"""


@pytest.mark.slow
def test_squares_of_108_megapixels_and_of_strips_take_bounded_memory():
    done = subprocess.run(
        [sys.executable, "-c", MEMORY],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert float(done.stdout) < 900, "the image takes 309 MB, as floating-point numbers 1236"
