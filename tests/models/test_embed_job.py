"""The embedding job: stopped, killed, shared, and over stores of the first version."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import models.embed_job
from engine.cli import run
from engine.devices import DeviceOptions
from engine.job import JobOptions
from images.inputs import find_images
from images.io import save_png
from images.photo import Photo
from models.copy_net import CopyNet
from models.embed_job import embed_images
from models.embedders import identify_model, open_embedder
from models.store import VectorStore
from sentinels.__main__ import main
from tiny.collages import collage

ROOT = Path(__file__).parents[2]
FILES = ("features.npy", "filenames.txt", "features.json", "images.jsonl")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("model")
    CopyNet(image_size=16, channels=(4, 8), descriptor=8).eval().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def photos(tmp_path):
    for number in range(7):
        save_png(Photo(collage(number, 24)), tmp_path / "photos" / f"{number}.png")
    return tmp_path / "photos"


def embed(photos, folder, model, fts=False):
    options = JobOptions(DeviceOptions("cpu"), batch_size=2, workers=0)
    return embed_images(
        find_images([photos]), folder, open_embedder(model), "sentinels embed", options, fts
    )


def same(one, other):
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in FILES)


@pytest.mark.parametrize("step", ["write_vectors", "join_journals", "unlink"])
def test_a_run_killed_while_it_ends_goes_on(step, photos, model, tmp_path, monkeypatch):
    embed(photos, tmp_path / "whole", model)

    def die(*_, **__):
        raise KeyboardInterrupt

    if step == "unlink":
        monkeypatch.setattr(
            Path,
            "unlink",
            lambda self, *_, **__: die() if self.name.startswith("vectors") else None,
        )
    else:
        monkeypatch.setattr(models.embed_job, step, die)
    with pytest.raises(KeyboardInterrupt):
        embed(photos, tmp_path / "v", model)
    monkeypatch.undo()
    assert embed(photos, tmp_path / "v", model).kept == 7
    assert same(tmp_path / "whole", tmp_path / "v")
    assert not list((tmp_path / "v").glob("*.partial"))


def test_a_later_run_takes_no_row_of_an_earlier_ones_parts(photos, model, tmp_path):
    embed(photos, tmp_path / "v", model)
    for number in (5, 1):
        save_png(Photo(collage(100 + number, 24)), photos / f"{number}.png")
        embed(photos, tmp_path / "v", model)
    embed(photos, tmp_path / "new", model)
    one = VectorStore.open(tmp_path / "v")
    other = VectorStore.open(tmp_path / "new")
    assert one.images == other.images
    assert np.allclose(one.matrix, other.matrix, atol=1e-6)


def test_damaged_vectors_are_made_again_with_a_warning(photos, model, tmp_path, caplog):
    embed(photos, tmp_path / "v", model)
    sound = (tmp_path / "v" / "features.npy").read_bytes()
    (tmp_path / "v" / "features.npy").write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    assert embed(photos, tmp_path / "v", model).embedded == 7
    assert "all images are embedded again" in caplog.text
    assert (tmp_path / "v" / "features.npy").read_bytes() == sound


def test_moved_and_touched_images_are_not_embedded_again(photos, model, tmp_path):
    embed(photos, tmp_path / "v", model)
    moved = photos.rename(tmp_path / "moved")
    (moved / "3.png").touch()
    report = embed(moved, tmp_path / "v", model)
    assert (report.embedded, report.kept) == (0, 7)
    assert report.store.paths()["3.png"] == moved / "3.png"


def test_published_copies_are_added_and_taken_away(photos, model, tmp_path):
    for fts in (False, True, False):
        report = embed(photos, tmp_path / "v", model, fts)
        assert report.kept in (0, 7)
        if fts:
            assert torch.load(tmp_path / "v" / "fts.pt", weights_only=True).shape == (7, 8)


def test_a_vector_that_is_not_finite_is_named(photos, model, tmp_path, monkeypatch):
    embedder = open_embedder(model)
    monkeypatch.setattr(
        embedder,
        "embed_images",
        lambda views: torch.tensor([[torch.nan] * 8, [1.0] * 8])[: len(views)],
    )
    options = JobOptions(DeviceOptions("cpu"), batch_size=2, workers=0)
    report = embed_images(
        find_images([photos]), tmp_path / "v", embedder, "sentinels embed", options
    )
    assert list(report.job.failed) == ["0.png", "2.png", "4.png", "6.png"]
    assert report.store.labels == ["1.png", "3.png", "5.png"]
    monkeypatch.setattr(
        embedder, "embed_images", lambda views: torch.full((len(views), 8), torch.nan)
    )
    with pytest.raises(
        ValueError, match=r"none of 7 images could be embedded: 0.png: its vector is not finite"
    ):
        embed_images(find_images([photos]), tmp_path / "w", embedder, "sentinels embed", options)


def test_a_first_store_is_gone_on_with(photos, model, tmp_path):
    embed(photos, tmp_path / "new", model)
    store = VectorStore.open(tmp_path / "new")
    old = tmp_path / "old"
    old.mkdir()
    # marks what is not done again
    save_file({"vectors": np.full((7, 8), 5, np.float32)}, old / "part-00001.safetensors")
    rows = [
        {
            "name": image.name,
            "path": image.path,
            "size": image.size,
            "mtime_ns": image.mtime_ns,
            "sha256": image.sha256,
        }
        | {"part": "part-00001.safetensors", "row": 6 - place}
        for place, image in enumerate(store.images)
    ]
    (old / "index.json").write_text(
        json.dumps({"format": 1, "model": identify_model(model), "rows": rows})
    )
    save_png(Photo(collage(50, 24)), photos / "6.png")
    report = embed(photos, old, model)
    assert (report.embedded, report.kept) == (1, 6)
    assert not (old / "index.json").exists()
    assert not list(old.glob("part-*"))
    matrix = VectorStore.open(old).matrix
    assert (matrix[:6] == 5).all()
    assert (matrix[6] != 5).any()


def test_a_first_store_of_another_model_is_refused(photos, model, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    save_file({"vectors": np.zeros((1, 8), np.float32)}, old / "part-00001.safetensors")
    row = {
        "name": "0.png",
        "path": "0.png",
        "size": 1,
        "mtime_ns": 1,
        "sha256": "",
        "part": "part-00001.safetensors",
        "row": 0,
    }
    (old / "index.json").write_text(
        json.dumps({"format": 1, "model": {"name": "x", "sha256": {"a": "b"}}, "rows": [row]})
    )
    with pytest.raises(ValueError, match="another model"):
        embed(photos, old, model)
    assert (old / "index.json").exists()


def test_retrieve_takes_the_model_from_the_store(photos, tmp_path, capsys, monkeypatch):
    vectors = str(tmp_path / "v")
    model = str(ROOT / "checkpoints" / "tiny" / "embedder")
    assert (
        run(main, ["embed", str(photos), "-o", vectors, "--weights", model, "--accelerator=cpu"])
        == 0
    )
    monkeypatch.setattr("checkpoints.folders.fetch", lambda *_: pytest.fail("the Hub was asked"))
    capsys.readouterr()
    assert run(main, ["retrieve", vectors, "a red thing", "--top-k=3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    shutil.copytree(model, tmp_path / "elsewhere")
    assert (
        run(main, ["retrieve", vectors, "a red thing", "--weights", str(tmp_path / "elsewhere")])
        == 0
    )


@pytest.mark.parametrize("verb", ["embed", "retrieve"])
def test_nothing_heavy_is_imported(verb, photos, tmp_path):
    heavy = (
        "lightning",
        "torchvision",
        "transformers",
        "diffusers",
        "timm",
        "torch._dynamo",
        "kornia",
        "scipy",
        "accelerate",
    )
    vectors = str(tmp_path / "v")
    model = "checkpoints/tiny/embedder"
    embedding = ["embed", str(photos), "-o", vectors, "--weights", model, "--accelerator=cpu"]
    assert run(main, embedding) == 0
    if verb == "embed":
        (photos / "6.png").unlink()
        shutil.copy(photos / "5.png", photos / "8.png")
    arguments = embedding if verb == "embed" else ["retrieve", vectors, "red"]
    program = (
        f"import sys; from sentinels.__main__ import main; main({arguments!r}); "
        f"print([n for n in {heavy!r} if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
