"""What a detector sees of a picture."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from images.transforms.codecs import jpeg
from images.transforms.views import BlurJPEG, View, to_tensor


def picture(height, width, seed=0):
    small = np.random.default_rng(seed).integers(
        0, 255, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8
    )
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def rng(seed=0):
    return np.random.default_rng(seed)


@settings(max_examples=60)
@given(
    st.sampled_from(["crop", "resize_crop", "random_resized_crop", "tile_crop"]),
    *(st.integers(1, 90) for _ in range(2)),
    st.booleans(),
    st.integers(0, 99),
)
def test_every_picture_gives_a_square_of_the_size(policy, height, width, random, seed):
    view = View(policy, size=32, resize=40, random=random, blur=0.5, jpeg=0.5)
    seen = view(picture(height, width, seed), rng(seed))
    assert seen.shape == (3, 32, 32)
    assert seen.dtype == torch.float32
    assert 0 <= seen.min() <= seen.max() <= 1
    assert torch.equal(seen, view(picture(height, width, seed), rng(seed)))


def test_the_papers_test_view_is_pillows_resize_and_the_centre():
    rgb = picture(300, 400)
    expected = (
        Image.fromarray(rgb)
        .resize((341, 256), Image.Resampling.BICUBIC)
        .crop((58, 16, 58 + 224, 16 + 224))
    )
    assert torch.equal(View()(rgb, rng()), to_tensor(np.asarray(expected)))


def test_a_crop_never_resizes_what_is_large_enough():
    rgb = picture(100, 80)
    assert torch.equal(View("crop", size=64)(rgb, rng()), to_tensor(rgb[18:82, 8:72]))
    parts = {
        View("crop", size=64, random=True)(rgb, rng(seed)).numpy().tobytes() for seed in range(20)
    }
    assert len(parts) > 10


def test_a_small_picture_is_repeated_for_tile_crop():
    rgb = picture(20, 20)
    assert torch.equal(View("tile_crop", size=40)(rgb, rng()), to_tensor(np.tile(rgb, (2, 2, 1))))


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize(("top", "left"), [(0, 0), (37, 51), (96, 100)])
def test_jpeg_of_the_neighbourhood_is_jpeg_of_the_whole_picture(quality, top, left):
    rgb = picture(200, 230)
    edits = BlurJPEG(0.0, quality)
    rows, columns = edits.neighborhood(top, left, 64, (200, 230))
    part = edits(rgb[rows, columns])[top - rows.start :, left - columns.start :][:64, :64]
    assert np.array_equal(part, jpeg(rgb, quality)[top : top + 64, left : left + 64])


def test_blur_is_the_gaussian():
    rgb = picture(80, 80)
    blurred = BlurJPEG(1.5, None)(rgb).astype(float)
    expected = np.stack(
        [
            gaussian_filter(rgb[..., channel].astype(float), 1.5, mode="reflect")
            for channel in range(3)
        ],
        axis=-1,
    )
    assert np.abs(blurred - expected).max() < 2


def test_shares_of_edits_are_as_asked():
    view = View(blur=0.1, jpeg=0.5, jpeg_quality=(30, 100))
    drawn = [BlurJPEG.draw(view, rng(seed)) for seed in range(2000)]
    assert np.mean([edit.sigma > 0 for edit in drawn]) == pytest.approx(0.1, abs=0.03)
    qualities = [edit.quality for edit in drawn if edit.quality is not None]
    assert len(qualities) / 2000 == pytest.approx(0.5, abs=0.04)
    assert (min(qualities), max(qualities)) == (30, 100)
    assert BlurJPEG.draw(View(), rng()) == BlurJPEG(0.0, None)


@pytest.mark.parametrize(
    "wrong",
    [{"size": 0}, {"size": 300}, {"blur": 1.5}, {"jpeg_quality": (50, 30)}, {"least_area": 0}],
)
def test_settings_out_of_range_are_told(wrong):
    with pytest.raises(ValueError, match="a view's"):
        View(**wrong)


def test_a_strip_does_not_fill_the_memory():
    assert View()(np.zeros((1, 60_000, 3), np.uint8), rng()).shape == (3, 224, 224)


def test_rotation_leaves_black_corners_and_jitter_the_shape():
    white = np.full((64, 64, 3), 255, np.uint8)
    turned = [View("crop", size=64, resize=64, rotate=180)(white, rng(seed)) for seed in range(8)]
    assert all((image[:, 32, 32] == 1).all() for image in turned)
    assert sum(bool((image[:, 0, 0] == 0).all()) for image in turned) >= 6
    dimmed = {
        round(float(View("crop", size=64, resize=64, jitter=0.5)(white // 2, rng(seed)).mean()), 2)
        for seed in range(20)
    }
    assert len(dimmed) > 5
    assert 0.24 <= min(dimmed) <= max(dimmed) <= 0.76


def test_masks_are_whole_squares_of_up_to_three_quarters():
    white = np.full((72, 64, 3), 255, np.uint8)
    shares = []
    for seed in range(200):
        seen = View("crop", size=64, resize=64, mask=0.5)(white, rng(seed))
        squares = seen.reshape(3, 4, 16, 4, 16).mean(dim=(0, 2, 4))
        assert set(squares.unique().tolist()) <= {0.0, 1.0}
        shares.append(1 - float(squares.mean()))
    assert max(shares) <= 0.75
    assert np.mean([share > 0 for share in shares]) == pytest.approx(0.5 * 15 / 16, abs=0.1)


def test_sentry_flips_before_the_edits_and_cnndetection_after(monkeypatch):
    """JPEG blocks begin at the left edge of the image, or of its mirror image."""
    coded = []
    monkeypatch.setattr(
        "images.transforms.views.jpeg", lambda rgb, quality: (coded.append(rgb.copy()), rgb)[1]
    )
    # brighter to the right
    rgb = np.tile(np.linspace(0, 255, 32).astype(np.uint8)[None, :, None], (32, 1, 3))
    mirrored = {}
    for policy in ("random_resized_crop", "crop"):
        view = View(policy, size=32, resize=32, random=True, jpeg=1.0, least_area=1.0)
        seen = [view(rgb, rng(seed)) for seed in range(20)]
        assert {bool(image[0, 0, 0] > image[0, 0, -1]) for image in seen} == {True, False}
        mirrored[policy] = {bool(levels[0, 0, 0] > levels[0, -1, 0]) for levels in coded}
        coded.clear()
    assert mirrored == {"random_resized_crop": {True, False}, "crop": {False}}
