"""The Python door of protection."""

import csv

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from images.io import to_rgb, to_uint8
from rid import Protector
from rid.protect.config import ProtectConfig
from rid.protect.job import protect
from rid.protect.windows import Merger, Windows


def merge(windows, changes):
    merger = Merger(windows)
    for change in changes:
        merger.add(change)
    return windows.enlarge(merger.result())


@settings(max_examples=60)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    resize_mode=st.sampled_from(["resize", "tile"]),
    seed=st.integers(0, 99),
)
def test_windows_cover_every_pixel_and_never_raise_the_bound(height, width, resize_mode, seed):
    windows = Windows.cover((height, width), 32, resize_mode)
    covered = torch.zeros(windows.scaled)
    for top, left in windows.corners:
        covered[top : top + 32, left : left + 32] += 1
    assert covered.min() >= 1
    cut = list(windows.cut(windows.scale(torch.rand(3, height, width))))
    assert [window.shape for window in cut] == [(3, 32, 32)] * len(windows.corners)
    torch.manual_seed(seed)
    change = 2 * torch.rand(len(windows.corners), 3, 32, 32) - 1
    merged = merge(windows, change)
    assert merged.shape == (3, height, width)
    assert merged.abs().max() <= 1 + 1e-6
    assert torch.allclose(
        merge(windows, torch.ones_like(change)), torch.ones(3, height, width), atol=1e-5
    )


def test_one_window_is_the_network_itself(generator_folder, portraits):
    protector = Protector.from_pretrained(str(generator_folder))
    with torch.no_grad():
        plain = (portraits + protector.generator(portraits)).clamp(0, 1)
    assert torch.allclose(protector(portraits), plain, atol=1e-6)


@pytest.mark.parametrize("resize_mode", ["resize", "tile"])
@pytest.mark.parametrize("size", [(64, 150), (200, 130), (20, 31)])
def test_any_size_comes_back_within_the_budget(generator_folder, resize_mode, size):
    protector = Protector.from_pretrained(str(generator_folder), resize_mode=resize_mode)
    images = torch.rand(2, 3, *size)
    protected = protector(images)
    assert protected.shape == images.shape
    assert 0 < (protected - images).abs().max() <= protector.budget / 255 + 1e-6
    assert protected.min() >= 0
    assert protected.max() <= 1


def test_a_larger_picture_gets_the_small_ones_perturbation_scaled(generator_folder, portraits):
    protector = Protector.from_pretrained(str(generator_folder), resize_mode="resize")
    large = torch.nn.functional.interpolate(
        portraits[:1] * 0.5 + 0.25, scale_factor=3, mode="nearest"
    )
    change = torch.nn.functional.interpolate(
        protector(large) - large, (64, 64), mode="bilinear", antialias=True
    )
    small = portraits[:1] * 0.5 + 0.25
    expected = protector(small) - small
    assert torch.corrcoef(torch.stack([change.flatten(), expected.flatten()]))[0, 1] > 0.7


def test_bfloat16_is_close(generator_folder, portraits):
    exact, rough = (
        Protector.from_pretrained(str(generator_folder), precision=p)(portraits)
        for p in ("32", "bf16")
    )
    assert (exact - rough).abs().mean() < 0.5 / 255


def test_an_unknown_precision(generator_folder):
    with pytest.raises(ValueError, match="not one of 32, bf16, 16"):
        Protector.from_pretrained(str(generator_folder), precision="8")


def test_python_and_the_command_make_the_same_file(generator_folder, tmp_path):
    rng = np.random.default_rng(0)
    photo = tmp_path / "photos" / "a.png"
    photo.parent.mkdir()
    Image.fromarray(rng.integers(0, 256, (90, 70, 3), dtype=np.uint8)).save(photo)
    assert (
        protect([photo], tmp_path / "out", ProtectConfig(weights=str(generator_folder))).failed
        == {}
    )
    protector = Protector.from_pretrained(str(generator_folder))
    made = protector.protect(photo)[0]
    made.save(tmp_path / "made.png")
    assert (tmp_path / "made.png").read_bytes() == (tmp_path / "out" / "a.png").read_bytes()
    assert (made.name, 0 < made.levels <= protector.budget) == (str(photo), True)
    with (tmp_path / "out" / "protected.csv").open() as stream:
        row = next(csv.DictReader(stream))
    assert (made.levels, str(made.psnr), str(made.ssim)) == (
        int(row["levels"]),
        row["psnr"],
        row["ssim"],
    )


def test_pillow_images_and_tensors_are_protected_alike(generator_folder, portraits):
    protector = Protector.from_pretrained(str(generator_folder))
    levels = to_uint8(portraits[0])
    image = Image.fromarray(to_rgb(levels))
    one, two, three = protector.protect([image, levels, levels.float() / 255])
    assert (one.photo.rgb == two.photo.rgb).all()
    assert (one.photo.rgb == three.photo.rgb).all()
    assert one.image.size == image.size
    assert (one.tensor() - levels.float() / 255).abs().max() <= protector.budget / 255 + 1e-6
    with pytest.raises(ValueError, match="image 1: changed by this project before"):
        protector.protect(one.image)
