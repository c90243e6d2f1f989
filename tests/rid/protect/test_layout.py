"""Areas around faces: windows of their own, blended into the whole photo's."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.cli import run
from engine.manifest import read_manifest
from images.io import to_rgb
from rid.__main__ import main
from rid.protect.face_search import choose_mode
from rid.protect.layout import Layout, face_square
from rid.protect.protector import Protector
from rid.weights import load_generator

SHARED = Path(__file__).parents[4] / "shared"
YUNET = SHARED / "weights" / "yunet"


@settings(max_examples=60)
@given(
    height=st.integers(20, 300),
    width=st.integers(20, 300),
    box=st.tuples(*[st.floats(-50, 350)] * 4),
)
def test_faces_anywhere_never_raise_the_bound(height, width, box):
    left, right = sorted((box[0], box[2]))
    top, bottom = sorted((box[1], box[3]))
    face = (left, top, right + 1, bottom + 1)
    layout = Layout.cover(torch.rand(3, height, width), 32, "faces", [face])
    start, column, length = face_square(face, (height, width))
    assert 0 <= start <= height - length
    assert 0 <= column <= width - length
    ones = [torch.ones(3, *area.windows.scaled) for area in layout.areas]
    assert torch.allclose(layout.assemble(ones), torch.ones(3, height, width), atol=1e-5)
    signs = [value.mul(index % 2 * 2 - 1) for index, value in enumerate(ones)]
    assert layout.assemble(signs).abs().max() <= 1 + 1e-5


def test_a_face_gets_the_networks_view_of_it(generator_folder, portraits):
    photo = torch.full((3, 256, 320), 0.5)
    photo[:, 100:164, 200:264] = portraits[0]
    side = 64 / 1.5
    face = (232 - side / 2, 132 - side / 2, 232 + side / 2, 132 + side / 2)
    generator = load_generator(str(generator_folder))
    protector = Protector(generator, "faces", faces=lambda image: [face])
    change = protector(photo[None])[0] - photo
    with torch.no_grad():
        alone = protector.generator(portraits[:1])[0]
    inner = slice(10, 54)
    seen = change[:, 100:164, 200:264][:, inner, inner]
    inside = (photo[:, 100:164, 200:264] + alone).clamp(0, 1) - photo[:, 100:164, 200:264]
    assert torch.allclose(seen, inside[:, inner, inner], atol=1e-5)
    whole = Protector(load_generator(str(generator_folder)))(photo[None])[0] - photo
    assert torch.allclose(change[:, :, :150], whole[:, :, :150], atol=1e-6), "elsewhere as before"


def test_a_face_that_fills_the_photo_needs_no_area_of_its_own(generator_folder, portraits):
    generator = load_generator(str(generator_folder))
    filled = Protector(generator, "faces", faces=lambda image: [(5, 5, 60, 60)])
    assert torch.equal(filled(portraits[:1]), Protector(generator)(portraits[:1]))


def test_faces_are_the_default_where_a_detector_is(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert choose_mode("auto", None) == ("resize", None)
    assert choose_mode("auto", "checkpoints/tiny/faces") == ("faces", "checkpoints/tiny/faces")
    assert choose_mode("faces", None) == ("faces", "yunet")
    assert choose_mode("tile", "yunet") == ("tile", None)
    repository = tmp_path / "models--opencv--face_detection_yunet"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "face_detection_yunet_2023mar.onnx").write_bytes(b"weights")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    assert choose_mode("auto", None) == ("faces", "yunet")


def test_without_a_detector_the_command_says_what_was_done(
    generator_folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    Image.new("RGB", (90, 90), "gray").save(tmp_path / "a.png")
    command = ["protect", str(tmp_path / "a.png"), "-o", str(tmp_path / "out")]
    assert run(main, [*command, "--weights", str(generator_folder)]) == 0
    assert "no face detector is on this machine" in capsys.readouterr().err
    settings = read_manifest(tmp_path / "out")["settings"]
    assert settings["resize_mode"] == "resize"
    # the mode itself has the same results, and is the same job
    assert run(main, [*command, "--weights", str(generator_folder), "--resize-mode", "resize"]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_without_a_detector_the_mode_is_refused(generator_folder, tmp_path, capsys):
    with pytest.raises(ValueError, match="needs a face detector"):
        Protector(load_generator(str(generator_folder)), "faces")
    Image.new("RGB", (40, 40), "gray").save(tmp_path / "a.png")
    command = ["protect", str(tmp_path / "a.png"), "-o", str(tmp_path / "out")]
    command += ["--weights", str(generator_folder), "--resize-mode", "faces"]
    assert run(main, [*command, "--face-detector", str(tmp_path / "none")]) == 2
    assert "error: " in capsys.readouterr().err


def test_the_command_says_how_many_faces_it_found(generator_folder, portraits, tmp_path):
    levels = to_rgb(portraits[0])
    Image.fromarray(levels).save(tmp_path / "portrait.png")
    Image.fromarray(np.full((80, 80, 3), 90, np.uint8)).save(tmp_path / "wall.png")
    out = tmp_path / "out"
    inputs = [str(tmp_path / "portrait.png"), str(tmp_path / "wall.png")]
    command = ["protect", *inputs, "-o", str(out), "--weights", str(generator_folder)]
    command += ["--resize-mode", "faces", "--face-detector", "checkpoints/tiny/faces"]
    assert run(main, command) == 0
    with (out / "protected.csv").open() as file:
        notes = {row["source"]: row["notes"] for row in csv.DictReader(file)}
    assert notes == {"portrait.png": "faces found: 1", "wall.png": "faces found: 0"}


@pytest.mark.skipif(not YUNET.is_dir(), reason="needs YuNet in ../shared/weights/yunet")
def test_a_detector_for_photographs_finds_every_face():
    from rid.protect.face_search import FaceSearch

    photos = sorted((SHARED / "data" / "faces").rglob("*.jpg"))[:4]
    tiles = [Image.open(file).convert("RGB").resize((160, 160)) for file in photos]
    group = Image.new("RGB", (640, 480), "gray")
    for index, tile in enumerate(tiles):
        group.paste(tile, (160 * index, 120))
    image = torch.from_numpy(np.asarray(group).copy()).permute(2, 0, 1)
    boxes = FaceSearch(str(YUNET))(image)
    assert len(boxes) == len(tiles)
    for left, top, right, bottom in boxes:
        assert 0 < right - left < 200
        assert 60 < top < bottom < 360
