"""Guard against images unlike those of the calibration: rate, file, and real photographs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_images

from datamodules.exact import read_batches, read_exactly
from datamodules.fake2m.origin import REAL, Origin
from datamodules.fake2m.sharding import shard_images
from detectors.detector import Detector, load_detector
from detectors.domain import RATE, Domain, halves
from detectors.domain_features import head_of, view_statistics
from detectors.networks import NETWORKS
from images.archives import Member
from images.io import encode_as, to_rgb
from images.transforms.geometry import Resize
from images.transforms.views import View
from images.transforms.windows import random_window
from tiny.dataset import PortraitDataset

SHIPPED = "checkpoints/tiny/detector"

DATA = next(
    (
        folder
        for parent in Path(__file__).parents
        if (folder := parent / "shared" / "data").is_dir()
    ),
    None,
)


def drawn(rng, count, size=12):
    """Features of two classes; every class has two directions of large variance."""
    label = np.arange(count) % 2
    features = rng.normal(size=(count, size)) * np.r_[9, 4, np.full(size - 2, 0.3)]
    features[label == 1, 2] += 3
    return features, label, np.arange(count).astype(str)


def test_images_like_the_calibration_are_outside_as_rarely_as_promised():
    rng = np.random.default_rng(0)
    outside = []
    for _ in range(300):
        domain = Domain.fit(*drawn(rng, 120))
        features, label, _ = drawn(rng, 20)
        own = domain.distances(features)[np.arange(20), label]
        outside.append((own > 1).mean())
    error = np.std(outside) / np.sqrt(len(outside))
    assert np.mean(outside) < RATE + 3 * error
    assert np.mean(outside) > RATE / 3


def test_images_unlike_the_calibration_are_outside_of_both_classes():
    rng = np.random.default_rng(0)
    domain = Domain.fit(*drawn(rng, 400))
    other, _, _ = drawn(rng, 50)
    other[:, 5] += 3
    assert (domain.distances(other) > 1).all(axis=1).mean() > 0.95


def factors_like_the_calibration(rng, count):
    """Factors of a view of 64 pixels for images of 24 to 100."""
    return 64 / rng.uniform(24, 100, count)


def test_an_image_that_is_scaled_far_more_than_the_calibration_is_outside():
    rng = np.random.default_rng(0)
    factors = factors_like_the_calibration(rng, 400)
    domain = Domain.fit(*drawn(rng, 400), factors=factors)
    features, _, _ = drawn(rng, 50)
    unscaled = domain.distances(features)
    np.testing.assert_array_equal(domain.distances(features, [1.0] * 50), unscaled)
    for side in (11, 220):
        assert (domain.distances(features, [64 / side] * 50) > 1).all()
    for side in (14, 190):
        within = domain.distances(features, [64 / side] * 50)
        np.testing.assert_array_equal(within > 1, unscaled > 1)


def test_scaling_is_within_the_rate_of_the_guard():
    rng = np.random.default_rng(0)

    def heavy(count):
        return np.exp(rng.standard_cauchy(count).clip(-50, 50))

    outside = []
    for _ in range(300):
        domain = Domain.fit(*drawn(rng, 120), factors=heavy(120))
        features, label, _ = drawn(rng, 20)
        own = domain.distances(features, heavy(20))[np.arange(20), label]
        outside.append((own > 1).mean())
    error = np.std(outside) / np.sqrt(len(outside))
    assert np.mean(outside) < RATE + 3 * error


def test_a_feature_that_never_varied_tells_an_image_apart():
    rng = np.random.default_rng(0)
    features, label, units = drawn(rng, 400)
    domain = Domain.fit(np.c_[features, np.zeros(400)], label, units)
    other, _, _ = drawn(rng, 20)
    assert (domain.distances(np.c_[other, np.full(20, 0.3)]) > 1).all()


@pytest.mark.parametrize("count", [4, 40, 70])
def test_few_images_give_no_guard(count):
    assert Domain.fit(*drawn(np.random.default_rng(0), count)) is None


def test_an_image_and_its_reconstruction_are_in_one_half():
    units = np.array([f"{number // 2}" for number in range(100)])
    first = halves(units)
    assert first.sum() == 50
    assert (first[::2] == first[1::2]).all()


def test_the_file_keeps_every_distance_and_is_checked(tmp_path):
    rng = np.random.default_rng(0)
    domain = Domain.fit(*drawn(rng, 200), factors=factors_like_the_calibration(rng, 200))
    sha256 = domain.save(tmp_path)
    opened = Domain.open(tmp_path, sha256)
    features, _, _ = drawn(rng, 30)
    for factors in (None, np.geomspace(0.1, 10, 30)):
        expected = domain.distances(features, factors)
        assert (opened.distances(features, factors) == expected).all()
    with pytest.raises(ValueError, match=r"domain\.safetensors is of 12 features"):
        domain.distances(features[:, :5])
    file = tmp_path / "domain.safetensors"
    file.write_bytes(file.read_bytes()[:-8] + b"somebody")
    with pytest.raises(ValueError, match=r"domain\.safetensors: not the one that"):
        Domain.open(tmp_path, sha256)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=r"domain\.safetensors: missing"):
        Domain.open(tmp_path, sha256)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("npr", {}),
        ("dct", {"size": 32}),
        ("residual", {}),
        ("patches", {"width": 8, "depths": (1, 1, 1, 1)}),
        ("tiny_patches", {}),
        ("timm", {"name": "test_convnext"}),
        ("frozen_linear", {"name": "test_vit2", "size": 32}),
    ],
)
def test_every_network_has_features(name, options):
    assert head_of(NETWORKS[name](**options)) is not None
    view = View("crop", size=32, resize=32)
    detector = Detector(name, options, view, view).eval()
    views = [view(np.full((40, 40, 3), level, np.uint8), None) for level in (9, 200)]
    logits, features = detector.logits_and_features_of(views)
    assert logits == detector.logits_of(views)
    assert len(features) == 2
    assert features.shape[1] > view_statistics(views[0].unsqueeze(0)).shape[1]
    assert np.isfinite(features).all()


def test_a_guard_of_images_leaves_precomputed_features_alone():
    detector = Detector("frozen_linear", {"name": "test_vit2", "size": 32}).eval()
    width = detector.network.linear.in_features
    rng = np.random.default_rng(0)
    detector.domain = Domain.fit(*drawn(rng, 200, width + 5))
    features = [torch.zeros(width), torch.ones(width)]
    assert [one.distances for one in detector.outputs_of(features)] == [None, None]
    detector.domain = Domain.fit(*drawn(rng, 200, width))
    assert all(one.distances is not None for one in detector.outputs_of(features))


def photograph_parts(count):
    """Cut squares from two photographs that come with scikit-learn."""
    photographs = load_sample_images().images
    for number in range(count):
        rng = np.random.default_rng([1, number])
        rgb = photographs[number % len(photographs)]
        side = int(rng.integers(100, min(rgb.shape[:2]) + 1))
        window = random_window(rgb.shape[:2], (side, side), rng)
        yield Image.fromarray(np.ascontiguousarray(rgb[window]))


def mosaics(count):
    """Draw cells of one color around random points."""
    places = np.stack(np.mgrid[:128, :128], axis=-1)
    for number in range(count):
        rng = np.random.default_rng([2, number])
        centers = rng.uniform(0, 128, (rng.integers(5, 150), 2))
        nearest = ((places[:, :, None] - centers) ** 2).sum(axis=-1).argmin(axis=-1)
        yield Image.fromarray(rng.integers(0, 256, (len(centers), 3), np.uint8)[nearest])


def pages(count):
    """Write random words on bright paper."""
    for number in range(count):
        rng = np.random.default_rng([3, number])
        page = Image.new("RGB", (200, 200), tuple(rng.integers(180, 256, 3).tolist()))
        for row in range(5, 190, 14):
            letters = "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz    "), 28))
            ink = tuple(rng.integers(0, 90, 3).tolist())
            ImageDraw.Draw(page).text((6, row), letters, fill=ink)
        yield page


def fractals(count):
    """Draw Julia sets."""
    down, across = np.mgrid[-1.2:1.2:128j, -1.2:1.2:128j]
    for number in range(count):
        rng = np.random.default_rng([4, number])
        offset = 0.7885 * np.exp(2j * np.pi * rng.uniform())
        z, steps = across + 1j * down, np.zeros(down.shape)
        for _ in range(40):
            inside = abs(z) < 4
            steps += inside
            z = np.where(inside, z * z + offset, z)
        phases = steps[..., None] * rng.uniform(0.1, 0.6) + rng.uniform(0, 2 * np.pi, 3)
        yield Image.fromarray((127 + 127 * np.sin(phases)).astype(np.uint8))


@pytest.mark.parametrize("kind", [photograph_parts, mosaics, pages, fractals])
def test_the_shipped_detector_is_unsure_of_kinds_that_its_guard_was_not_taught(kind):
    # of the portraits' size, so that their scale tells nothing
    found = load_detector(SHIPPED).predict([image.resize((64, 64)) for image in kind(60)])
    assert np.mean([one.verdict == "unsure" for one in found]) >= 0.95
    unlike = [one.reason == "unlike the images of the calibration" for one in found]
    assert np.mean(unlike) >= 0.8, "between the thresholds is no merit of the guard"


def test_the_shipped_detector_still_judges_drawn_portraits():
    """Of people that neither training nor calibration has seen."""
    portraits = PortraitDataset(1_300_000, 120, 1)
    images = [item["image"] for item in portraits.__getitems__(list(range(120)))]
    found = load_detector(SHIPPED).predict(images)
    assert np.mean([one.verdict == "real" for one in found]) > 0.8
    assert np.mean([one.verdict == "generated" for one in found]) < 0.1


@pytest.mark.skipif(DATA is None, reason="needs the photographs beside the repository")
@pytest.mark.parametrize("kind", ["photos", "faces"])
def test_the_shipped_detector_is_unsure_of_photographs(kind):
    found = load_detector(SHIPPED).predict(sorted((DATA / kind).iterdir())[:300])
    assert np.mean([one.verdict == "unsure" for one in found]) >= 0.95


@pytest.mark.parametrize("kind", [photograph_parts, pages])
def test_the_shipped_detector_is_unsure_of_large_images(kind):
    found = load_detector(SHIPPED).predict([image.resize((256, 256)) for image in kind(30)])
    assert {one.verdict for one in found} == {"unsure"}


def test_shards_are_judged_as_images_are(tmp_path):
    detector = load_detector(SHIPPED)
    portraits = PortraitDataset(1_300_000, 8, 1).__getitems__(list(range(8)))
    images, members = [], []
    for number, item in enumerate(portraits):
        side = 64 if number < 4 else 256
        pixels = to_rgb(item["image"])
        images.append(Image.fromarray(pixels).resize((side, side)))
        pixels = np.asarray(images[-1])
        members.append(Member(f"portraits/{number}.png", encode_as(pixels, "png")))
    origin = Origin("test", "portraits", REAL, family="real")
    shard_images(members, tmp_path, lambda path: origin)
    shards = [str(file) for file in tmp_path.glob("*.tar")]

    [batch] = read_batches(8, read_exactly(shards, detector.view))
    assert batch.factors == [1.0] * 4 + [0.25] * 4
    outputs = detector.outputs_of(batch.inputs, batch.factors)
    judged = [detector.calibration.judge(output) for output in outputs]
    assert judged == [(one.verdict, one.reason) for one in detector.predict(images)]
    assert ["unlike" in reason for _, reason in judged] == [False] * 4 + [True] * 4

    # a view of an edited image is scaled by another factor
    [edited] = read_batches(8, read_exactly(shards, detector.view, edit=Resize(0.25)))
    assert edited.factors == [4.0] * 4 + [1.0] * 4
