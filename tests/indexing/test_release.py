"""What is released is found after rounding; otherwise the original stays."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.cli import run
from images.io import open_photo
from images.photo import Photo
from indexing import ActivationConfig, Activator, Index
from indexing.__main__ import main
from indexing.activation import DescriptorObjective, Perturbation, activate
from indexing.entry_lookup import EntryLookup
from indexing.perturbation import Distortion
from models.copy_net import CopyNet
from models.preprocessing import IMAGENET_STD, Preprocessing
from models.store import VectorStore
from tests.indexing.commands import table
from tiny.collages import collage


@pytest.mark.parametrize("target", ["auto", "centroid"])
def test_no_activated_image_is_lost(target, index, tmp_path):
    images = [collage(7_000 + number, 40) for number in range(16)]
    config = ActivationConfig(iterations=4, distortion=Distortion(scaling=8.0))
    activated = Activator.open(index, config, target).activate_images(images)
    # an independent search: the original's descriptor is really added
    opened = Index.open(index)
    for original, result in zip(images, activated, strict=True):
        described = opened.describe([original, result.photo.rgb])
        filled = Index.open(index)
        filled.add(VectorStore(described.matrix[:1], ["own"], described.embedder))
        distances, ids = filled.search(described.matrix[1:], 101)
        own = distances[ids == 100]
        is_found = len(own) == 1 and own[0] <= distances[0, 0] * (1 + 1e-5)
        assert result.indices["index"].found == is_found
        assert is_found or not result.activated


def test_a_change_that_loses_an_image_is_scaled_down_or_undone(
    index, originals, tmp_path, monkeypatch, capsys
):
    # one image is found at once, one at half of its change, one at none, even with other targets
    answers = [[True] * 3, [True, False, False], [False, False], [True, False], [False]]
    script = iter(answers + 5 * [[False]])
    monkeypatch.setattr(EntryLookup, "finds", lambda self, entries, queries: next(script))
    out = tmp_path / "out"
    files = [str(file) for file in sorted(originals.iterdir())[:3]]
    assert (
        run(main, ["activate", *files, "-o", str(out), "--index", str(index), "--workers=0"]) == 1
    )
    assert not list(script)
    captured = capsys.readouterr()
    assert "2 activated, PSNR" in captured.out
    assert "index: a search finds 2 of 3, and 2 of them are nearer" in captured.out
    assert "1 not activated" in captured.err
    rows = table(out / "activated.csv")
    assert [row["activated"] for row in rows] == ["yes", "yes", "no"]
    assert [row["found"] for row in rows] == ["yes", "yes", "no"]
    assert rows[1]["notes"] == "50% of the change kept, to be found"
    assert rows[2]["notes"].startswith("not activated, the original is kept")
    for file, row in zip(files, rows, strict=True):
        is_same = (open_photo(Path(file)).rgb == open_photo(out / row["output"]).rgb).all()
        assert is_same == (row["activated"] == "no")


@pytest.fixture
def two_indices(index, references, tmp_path):
    """Two indices of two networks of different sizes, ``a/index`` and ``b/index``."""
    torch.manual_seed(8)
    network = CopyNet(image_size=48, channels=(8, 8), descriptor=8)
    network.train()(torch.randn(64, 3, 48, 48))
    network.eval().save_pretrained(tmp_path / "other")
    features = ["extract", references, "-o", tmp_path / "f", "--workers=0"]
    assert run(main, [*map(str, features), "--extractor.name", str(tmp_path / "other")]) == 0
    second = tmp_path / "b" / "index"
    build = ["build", tmp_path / "f", "-o", second, "--factory", "PCA8,LSH"]
    assert run(main, list(map(str, build))) == 0
    return shutil.copytree(index, tmp_path / "a" / "index"), second


def test_the_order_of_indices_changes_neither_words_nor_results(
    two_indices, originals, tmp_path, capsys
):
    printed, files = [], []
    for number, order in enumerate((two_indices, two_indices[::-1])):
        out = tmp_path / f"out{number}"
        command = ["activate", originals, "-o", out, "--index", *order, "--workers=0"]
        capsys.readouterr()
        run(main, list(map(str, command)))
        captured = capsys.readouterr()
        printed.append((captured.out + captured.err).replace(str(out), "OUT"))
        files.append(
            {
                path.name: path.read_bytes()
                for path in out.glob("*.*")
                if path.suffix in (".png", ".csv")
            }
        )
    assert sorted(printed[0].splitlines()) == sorted(printed[1].splitlines())
    assert files[0] == files[1]
    assert "a/index: a search finds" in printed[0]
    assert "b/index: a search finds" in printed[0]
    row = table(tmp_path / "out0" / "activated.csv")[0]
    assert {"found in a/index", "found in b/index", "distance_after in b/index"} <= set(row)
    # each extractor has its own descriptors of the originals
    for label, length in (("a", 16), ("b", 8)):
        store = VectorStore.open(tmp_path / "out0" / "originals" / label / "index")
        assert store.matrix.shape == (6, length)
    twice = ["activate", originals, "-o", tmp_path / "x", "--index", two_indices[0], two_indices[0]]
    assert run(main, list(map(str, twice))) == 2
    assert "is given twice" in capsys.readouterr().err


def test_each_network_gets_its_own_size_and_normalization():
    image = torch.rand(3, 50, 60, generator=torch.Generator().manual_seed(0))
    own = Preprocessing(24, mean=(0.5, 0.4, 0.3), std=(0.5, 0.3, 0.2), antialias=False)
    objective = DescriptorObjective(lambda views: views.flatten(1), own, torch.zeros(1, 1))
    initial = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    perturbation = Perturbation(image, initial, ActivationConfig())
    moved = own.from_tensors(image[None]) + perturbation.resized([objective])[0]
    expected = own.from_tensors(perturbation.result()[None])
    assert torch.allclose(moved, expected, atol=1e-5)
    assert own.std != IMAGENET_STD


def test_networks_with_large_and_small_gradients_have_a_say_each():
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    draw = torch.Generator().manual_seed(1)
    matrices = [torch.randn(3 * 256, 8, generator=draw) / 16 for _ in range(2)]
    objectives = []
    for matrix, scale in zip(matrices, (1.0, 1000.0), strict=True):

        def embed(views, matrix=matrix, scale=scale):
            return scale * views.flatten(1) @ matrix

        own = Preprocessing(16)
        start = embed(own.from_tensors(image[None]))
        objectives.append(DescriptorObjective(embed, own, start + scale))

    def distances(given):
        config = ActivationConfig(loss="l2", lambda_i=0.0)
        pixels = activate([image], given, config).images_u8[0].float() / 255
        values = []
        for objective in objectives:
            views = objective.preprocess.from_tensors(pixels[None])
            moved = objective.embed(views) - objective.targets
            values.append(float(moved.square().sum() / objective.targets.square().sum()))
        return values

    small_alone = distances(objectives[:1])[0]
    before = [
        1.0 * 8 / float((o.targets / s).square().sum())
        for o, s in zip(objectives, (1, 1000), strict=True)
    ]
    joint = distances(objectives)
    assert joint[0] < before[0]
    assert joint[1] < before[1]
    # the small one keeps at least half of what it gains alone
    assert before[0] - joint[0] > 0.5 * (before[0] - small_alone)


def test_transparent_images_are_activated_as_seen_on_white(index):
    images = []
    for number in range(8):
        rgb = collage(7_000 + number, 40)
        alpha = np.full(rgb.shape[:2], 255, np.uint8)
        alpha[:, :16] = 0
        alpha[:, 16:24] = 128
        images.append(Photo(rgb, alpha))
    config = ActivationConfig(iterations=4, distortion=Distortion(scaling=8.0))
    activated = Activator.open(index, config).activate_images(images)
    opened = Index.open(index)
    for original, result in zip(images, activated, strict=True):
        assert np.array_equal(result.photo.alpha, original.alpha)
        changes = (result.photo.rgb != original.rgb).any(axis=2)
        assert not changes[:, :16].any()  # what nobody sees finds no copies
        assert changes[:, 24:].any()
        described = opened.describe([original, result.photo])
        filled = Index.open(index)
        filled.add(VectorStore(described.matrix[:1], ["own"], described.embedder))
        distances, ids = filled.search(described.matrix[1:], 101)
        own = distances[0][ids[0] == filled.id_of("own")]
        assert result.indices["index"].found == (len(own) > 0 and own[0] <= distances[0][0])
        assert result.activated
        assert result.indices["index"].nearer
