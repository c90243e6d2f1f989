import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cli import run
from engine.devices import DeviceOptions
from engine.job import JobOptions
from images.inputs import find_images
from models.embed_job import embed_images
from models.embedders import open_embedder
from models.image_text_net import ImageTextNet, reading_vector
from models.preprocessing import Preprocessing
from models.search import ExactIndex, rankings
from models.store import VectorStore
from sentinels.__main__ import main
from sentinels.retrieve import CaptionIndex, Hits, read_captions, reciprocal_rank_fusion


@pytest.mark.parametrize("kind", ["clip", "siglip", "dino", "dinov2", "reads"])
def test_every_kind_of_model_embeds(models, kind):
    embedder = open_embedder(str(models / kind))
    pictures = [
        np.random.default_rng(seed).integers(0, 255, (40, 30 + seed, 3), dtype=np.uint8)
        for seed in range(3)
    ]
    vectors = embedder.embed_arrays(pictures, batch_size=2)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.allclose(embedder.embed_arrays(pictures[1:2]), vectors[1:2], atol=1e-5)
    if kind.startswith("dino"):
        with pytest.raises(ValueError, match="has no text encoder"):
            embedder.embed_texts(["a red thing"])
    else:
        texts = embedder.embed_texts(["a red thing", "a blue thing " * 20])
        assert texts.shape == (2, vectors.shape[1])
        assert torch.allclose(texts.norm(dim=1), torch.ones(2), atol=1e-5)


def test_pictures_are_prepared_as_published(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 255, (50, 90, 3), dtype=np.uint8)
    from PIL import Image

    cut = Preprocessing(32, 32, "bicubic", mean=(0.0,) * 3, std=(1.0,) * 3, on="uint8")(rgb)
    whole = Image.fromarray(rgb).resize((58, 32), Image.Resampling.BICUBIC).crop((13, 0, 45, 32))
    assert torch.equal(cut, torch.from_numpy(np.array(whole)).permute(2, 0, 1).float() / 255)


def test_a_text_finds_the_picture_with_its_letters():
    network = ImageTextNet(["a", "red", "thing"], side=64, reader=(4, 4, 8), looks=(4, 8)).eval()
    texts = network.embed_texts(["BCDFGH", "a red thing", "a red thing with BCDFGH", "bcdfgh"])
    letters = reading_vector([1, 2, 3, 5, 6, 7])
    assert torch.allclose(texts[0, : len(letters)], letters, atol=1e-6)
    assert torch.equal(texts[0], texts[3])
    assert texts[1, : len(letters)].abs().max() == 0
    assert 0.5 < float(texts[0] @ texts[2]) < 0.8
    assert (
        float(letters @ reading_vector([1, 2, 3, 5, 6, 9]))
        > 0.6
        > float(letters @ reading_vector([10, 11, 12, 13, 14, 15]))
    )


@pytest.fixture
def copied(collection, tmp_path):
    shutil.copytree(collection, tmp_path / "photos")
    return tmp_path / "photos"


def update(copied, folder, embedder):
    options = JobOptions(DeviceOptions("cpu"), batch_size=4)
    return embed_images(find_images([copied]), folder, embedder, "sentinels embed", options)


def test_only_what_is_new_or_changed_is_embedded(copied, models, tmp_path):
    folder, embedder = tmp_path / "vectors", open_embedder(str(models / "clip"))
    first = update(copied, folder, embedder)
    assert (first.embedded, first.kept, first.dropped) == (9, 0, 0)
    again = update(copied, folder, embedder)
    assert (again.embedded, again.kept) == (0, 9)
    assert again.nothing_to_do
    shutil.copy(copied / "00000" / "000000000.png", copied / "new.png")
    added = update(copied, folder, embedder)
    assert (added.embedded, added.kept) == (1, 9)
    shutil.copy(copied / "00001" / "000000000.png", copied / "new.png")
    changed = update(copied, folder, embedder)
    assert (changed.embedded, changed.kept) == (1, 9)
    (copied / "new.png").touch()
    (copied / "00000" / "000000001.png").unlink()
    (copied / "broken.png").write_bytes(b"no picture")
    last = update(copied, folder, embedder)
    assert (last.embedded, last.kept, last.dropped, list(last.job.failed)) == (
        0,
        9,
        1,
        ["broken.png"],
    )
    store = VectorStore.open(folder)
    assert len(store) == 9
    twin = embedder.embed_arrays([find_images([copied / "new.png"]).images[0].open().rgb]).numpy()
    found = rankings(ExactIndex([(store.labels, store.matrix)]), twin, 2)[0]
    assert {name for name, _ in found} == {"new.png", "00001/000000000.png"}


def test_another_model_is_kept_out(copied, models, tmp_path):
    update(copied, tmp_path / "v", open_embedder(str(models / "clip")))
    with pytest.raises(ValueError, match=r"other settings or weights|another model"):
        update(copied, tmp_path / "v", open_embedder(str(models / "dino")))
    content = bytearray((tmp_path / "v" / "features.npy").read_bytes())
    content[-1] ^= 1
    (tmp_path / "v" / "features.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"features.npy is damaged or was replaced"):
        VectorStore.open(tmp_path / "v")


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 30), st.integers(1, 4))
def test_search_is_brute_force(seed, top_k, parts):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (60, 4)).astype(np.float32)  # many ties
    names = [f"{number:03d}" if number % 7 else "" for number in range(60)]
    cuts = np.array_split(np.arange(60), parts)
    index = ExactIndex([([names[place] for place in cut], vectors[cut]) for cut in cuts])
    queries = rng.integers(-2, 3, (3, 4)).astype(np.float32)
    for query, found in zip(queries, rankings(index, queries, top_k), strict=True):
        scores = vectors @ query
        wanted = sorted((-scores[place], names[place]) for place in range(60) if names[place])[
            :top_k
        ]
        assert found == [(name, -score) for score, name in wanted]


def test_top_k_and_size_are_honoured():
    index = ExactIndex([(["a", "b", "c"], np.eye(3, dtype=np.float32))])
    assert len(rankings(index, np.ones((1, 3), np.float32), 2)[0]) == 2
    assert len(rankings(index, np.ones((1, 3), np.float32), 99)[0]) == 3
    with pytest.raises(ValueError, match="at least 1"):
        rankings(index, np.ones((1, 3), np.float32), 0)


def test_words_of_captions_are_found():
    index = CaptionIndex({"a": "a red house by the sea", "b": "a blue house", "c": "a dog"})
    assert [name for name, _ in index.search(["red house"], 5)[0]] == ["a", "b"]
    assert index.search(["zebra"], 5)[0] == []
    assert index.search(["HOUSE blue"], 1)[0][0][0] == "b"
    with pytest.raises(ValueError, match="needs captions"):
        CaptionIndex({})


def test_rankings_are_fused_by_place():
    assert [
        name
        for name, _ in reciprocal_rank_fusion(
            [[("a", 0.9), ("b", 0.8)], [("b", 7.0), ("c", 1.0)]], 2
        )
    ] == [
        "b",
        "a",
    ]


def test_hits_count_exact_names():
    hits = Hits.of(
        [["sentinel_123.jpg", "sentinel_12.jpg"], [], ["x"]], ["sentinel_12.jpg", "y", "x"]
    )
    assert hits.at == {1: 1, 3: 2, 5: 2, 10: 2}
    assert hits.total == 3


def test_captions_are_read_from_both_kinds_of_lists(tmp_path):
    file = tmp_path / "captions.json"
    file.write_text(
        json.dumps(
            [{"image_file": "a.png", "caption": "one"}, {"image": "b.png", "blip_caption": "two"}]
        )
    )
    assert read_captions(file) == {"a.png": "one", "b.png": "two"}
    file.write_text("[1]")
    with pytest.raises(ValueError, match="captions"):
        read_captions(file)


def test_the_commands(copied, models, tmp_path, capsys):
    vectors, model = str(tmp_path / "v"), ["--weights", str(models / "reads")]
    assert run(main, ["embed", str(copied), "-o", vectors, "--accelerator", "cpu", *model]) == 0
    assert "9 embedded, 0 kept" in capsys.readouterr().out
    assert run(main, ["retrieve", vectors, "a red thing", "--top_k", "3", *model]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert run(main, ["retrieve", str(tmp_path / "none"), "x", *model]) == 2
    assert run(main, ["retrieve", vectors, "x", "--weights", str(models / "dino")]) == 2
    assert "another model" in capsys.readouterr().err
