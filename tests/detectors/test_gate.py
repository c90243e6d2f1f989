"""Shortcut test on headers, before training and tests."""

import io
import logging

import numpy as np
import pytest
from PIL import Image

import datamodules.fake2m.shortcuts
from datamodules.fake2m.origin import Origin
from datamodules.fake2m.sharding import shard_images
from detectors.__main__ import main as door
from detectors.cli import main
from detectors.gate import header_records, shortcut_warning
from engine.cli import run
from images.archives import Member


@pytest.fixture
def separable(tmp_path):
    """Shards of real JPEG files and generated PNG files."""
    for label, name in enumerate(("real", "fake")):
        members = []
        for number in range(30):
            rgb = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(rgb).save(buffer, "PNG" if label else "JPEG")
            members.append(Member(f"p/{number}", buffer.getvalue()))
        origin = Origin("val", name, label)
        shard_images(members, tmp_path / "separable", lambda _, origin=origin: origin)
    return f"{tmp_path}/separable/val-*.tar"


def test_what_tells_the_classes_apart_is_said(separable, shards, monkeypatch):
    warning, note = shortcut_warning([separable])
    assert warning == ""
    assert "at least 200 images of each class, got 30 real and 30 generated" in note
    monkeypatch.setattr(datamodules.fake2m.shortcuts, "MIN_IMAGES", 20)
    warning, note = shortcut_warning([separable])
    assert "headers alone tell the classes apart with AUC 1.000, by codec alone 1.000" in warning
    assert note == ""
    with pytest.raises(FileNotFoundError, match="nowhere"):
        shortcut_warning(["nowhere/*.tar"])


def test_a_shard_that_is_named_twice_is_read_once(shards):
    pattern = f"{shards}/val-*.tar"
    once = header_records([pattern])
    assert len(header_records([pattern, f"{shards}/val-photos-*.tar", pattern])) == len(once)


def test_shards_of_others_and_features_are_not_tested(tmp_path):
    import tarfile

    with tarfile.open(tmp_path / "foreign.tar", "w") as archive:
        entry = tarfile.TarInfo("a.json")
        entry.size = 2
        archive.addfile(entry, io.BytesIO(b"{}"))
    warning, note = shortcut_warning([f"{tmp_path}/foreign.tar"])
    assert warning == ""
    assert "no record of this project" in note
    (tmp_path / "a.safetensors").write_bytes(b"")
    assert header_records([f"{tmp_path}/a.safetensors"]) == []


def test_test_and_fit_warn_and_can_be_silenced(
    separable, shards, config, tmp_path, monkeypatch, capsys, caplog
):
    monkeypatch.setattr(datamodules.fake2m.shortcuts, "MIN_IMAGES", 20)
    path = config("tiny_patches", {}, {"max_epochs": 1, "limit_val_batches": 0})
    with caplog.at_level(logging.WARNING):
        cli = main(["fit", "-c", path])
    assert "headers alone tell the classes apart" in caplog.text
    assert "--gate off silences this" in caplog.text
    caplog.clear()
    main(["fit", "-c", path, "--gate", "off", "--trainer.max_steps", "1"])
    assert "headers alone" not in caplog.text

    command = ["test", f"{cli.trainer.log_dir}/detector", "--data", f"[{separable}]"]
    command += ["--resamples", "0", "--accelerator", "cpu", "--workers", "0"]
    assert run(door, [*command, "-o", f"{tmp_path}/a"]) == 0
    assert "warning: headers alone tell the classes apart" in capsys.readouterr().err
    assert run(door, [*command, "-o", f"{tmp_path}/b", "--gate", "off"]) == 0
    assert "headers alone" not in capsys.readouterr().err
