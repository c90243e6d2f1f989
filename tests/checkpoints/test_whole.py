"""Folders in which something is missing or damaged are refused, with the name of the file."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

from checkpoints.__main__ import main as door
from checkpoints.digests import check_digest
from checkpoints.hub import cache_folder
from checkpoints.whole import missing_files
from engine.cli import run
from models.faces.face_net import FaceNet

SHIPPED = Path(__file__).parents[2] / "checkpoints" / "tiny"


def told(capsys):
    return " ".join(
        line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")
    )


@pytest.fixture
def faces(tmp_path):
    return Path(shutil.copytree(SHIPPED / "faces", tmp_path / "faces"))


def test_a_folder_without_its_weights_is_not_whole(faces, tmp_path, capsys):
    (faces / "model.safetensors").unlink()
    assert run(door, ["verify", str(faces)]) == 2
    assert "is not complete: model.safetensors is missing" in told(capsys)
    (tmp_path / "empty").mkdir()
    assert run(door, ["verify", str(tmp_path / "empty")]) == 2
    assert "contains no weights" in told(capsys)


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        (
            "unet/diffusion_pytorch_model.safetensors",
            "unet/diffusion_pytorch_model.safetensors is missing",
        ),
        ("text_encoder/model.safetensors", "text_encoder/model.safetensors is missing"),
        ("vae", "vae/config.json is missing"),
        ("scheduler/scheduler_config.json", "scheduler/config.json is missing"),
    ],
)
def test_a_pipeline_without_a_part_is_not_whole(tmp_path, capsys, gone, named):
    folder = Path(shutil.copytree(SHIPPED / "sd-a1", tmp_path / "sd"))
    shutil.rmtree(folder / gone) if (folder / gone).is_dir() else (folder / gone).unlink()
    assert run(door, ["verify", str(folder)]) == 2
    assert named in told(capsys)


def test_weights_in_several_files_are_whole_with_all_of_a_list(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    parts = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    (tmp_path / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": parts[0], "b": parts[1]}})
    )
    (tmp_path / "pytorch_model.bin.index.json").write_text(
        json.dumps({"weight_map": {"a": "pytorch_model-00001-of-00001.bin"}})
    )
    assert missing_files(tmp_path) == parts
    (tmp_path / parts[0]).touch()
    assert missing_files(tmp_path) == parts[1:]
    (tmp_path / parts[1]).touch()
    assert not missing_files(tmp_path), "the other list was not asked for"


def test_a_half_downloaded_snapshot_is_told_offline(hub, offline, tmp_path, capsys):
    FaceNet(image_size=16, channels=(8, 8), embedding=4).save_pretrained(tmp_path / "network")
    hub.add(
        "lab/faces", {file.name: file.read_bytes() for file in (tmp_path / "network").iterdir()}
    )
    assert run(door, ["pull", "hf://lab/faces"]) == 0
    (weights,) = cache_folder("lab/faces").glob("snapshots/*/model.safetensors")
    weights.unlink()
    offline()
    # with the client's list of the repository, and as older clients leave a cache
    for lists in (
        True,
        False,
    ):
        if not lists:
            shutil.rmtree(Path(constants.HF_HUB_CACHE) / "models--lab--faces" / "trees")
        for verb in ("verify", "pull"):
            assert run(door, [verb, "hf://lab/faces"]) == 2
            assert "model.safetensors" in told(capsys)


def test_flipped_bits_in_weights_are_noticed(faces, capsys):
    content = bytearray((faces / "model.safetensors").read_bytes())
    content[-3] ^= 1
    (faces / "model.safetensors").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"damaged or was replaced: its sha256 is not the one in model\.sha256"
    ):
        FaceNet.from_pretrained(faces)
    assert run(door, ["verify", str(faces)]) == 2
    assert "model.safetensors is damaged" in told(capsys)
    (faces / "model.sha256").write_text("gone")
    with pytest.raises(ValueError, match="damaged or was replaced"):
        check_digest(faces)
    (faces / "model.sha256").unlink()
    FaceNet.from_pretrained(faces)  # older folders have none


def test_saving_renews_the_sha256(faces):
    before = (faces / "model.sha256").read_text()
    FaceNet.from_pretrained(faces, threshold=0.25).half().save_pretrained(faces)
    assert (faces / "model.sha256").read_text() != before
    assert FaceNet.from_pretrained(faces).threshold == 0.25


@pytest.mark.parametrize("content", [b"PK", b"PK\x05\x06" + bytes(18), b"", bytes(100)])
def test_damaged_answers_are_one_line(faces, capsys, content):
    (faces / "golden.npz").write_bytes(content)
    assert run(door, ["verify", str(faces)]) == 2
    assert "golden.npz" in told(capsys)


def test_answers_that_are_no_numbers_do_not_pass(faces, capsys):
    with np.load(faces / "golden.npz") as stored:
        kept = {name: stored[name] for name in stored.files}
    last = list(kept)[-1]
    np.savez(faces / "golden.npz", **kept | {last: np.full_like(kept[last], np.nan)})
    assert run(door, ["verify", str(faces)]) == 2
    assert "its outputs differ" in told(capsys)


def test_the_registrys_hash_of_an_index_is_compared(tmp_path, monkeypatch, capsys):
    folder = Path(shutil.copytree(SHIPPED / "index", tmp_path / "index"))
    content = bytearray((folder / "index.faiss").read_bytes())
    content[5000] ^= 4
    (folder / "index.faiss").write_bytes(content)
    monkeypatch.setattr("checkpoints.pull.folder_outside_hub", lambda found: folder)
    assert run(door, ["verify", "tiny-index"]) == 2
    assert "index.faiss has sha256" in told(capsys)
