"""The registry is valid, the shipped models are registered, and verify finds differences."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from checkpoints.__main__ import CONVERTERS
from checkpoints.__main__ import main as door
from checkpoints.hub_address import split_address
from checkpoints.pins import files_folder
from checkpoints.registry import read_registry, registry
from engine.cli import run

ROOT = Path(__file__).parents[2]


def told(capsys):
    return " ".join(
        line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")
    )


@pytest.mark.parametrize("name", registry())
def test_every_entry_is_complete(name):
    found = registry()[name]
    assert name == name.lower()
    assert "/" not in name, "names must not be taken for Hub ids"
    for words in (found.title, found.use, found.license, found.input):
        assert len(words) > 2
        assert words == words.strip()
    if found.hub:
        assert split_address(found.hub)[0].count("/") == 1
        assert all(
            any(Path(file.name).match(pattern) for pattern in found.patterns)
            for file in found.files
        )
    for kind in set(CONVERTERS) - {"rid"}:
        if found.steps and f"--kind {kind}" in found.steps:
            assert found.labels, "whoever converts a detector must know what its answers mean"
    if found.path:
        assert (ROOT / found.path / "README.md").is_file(), "shipped models have a card"
        assert all(file.sha256 and file.size for file in found.files)
        named = {file.name for file in found.files}
        weights = {
            path
            for kind in ("*.safetensors", "*.faiss")
            for path in (ROOT / found.path).rglob(kind)
        }
        assert named == {path.relative_to(ROOT / found.path).as_posix() for path in weights}


def test_models_that_configs_and_code_use_are_registered():
    known = {split_address(found.hub)[0] for found in registry().values() if found.hub}
    text = " ".join(
        file.read_text()
        for room in ("configs", "eval", "rid")
        for kind in ("*.yaml", "*.py")
        for file in (ROOT / room).rglob(kind)
    )
    owners = "stabilityai|CompVis|stable-diffusion-v1-5|opencv|openai|xutongda|sd2-community"
    assert set(re.findall(rf"\b(?:{owners})/[\w.-]*\w", text)) <= known


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "give exactly one of hub, url, page, path"),
        ({"hub": "a/b", "path": "c"}, "give exactly one of"),
        ({"page": "https://x"}, "say in steps"),
        ({"url": "https://x"}, "name its files"),
        ({"url": "http://x", "files": [{"name": "w"}]}, "begin with https"),
        ({"hub": "a/b", "files": [{"name": "../w"}]}, "not a path within"),
        ({"hub": "a/b", "files": [{"name": "w", "sha256": "12"}]}, "64 hexadecimal"),
        ({"hub": "a/b", "files": [{"name": "w", "size": 0}]}, "not a number of bytes"),
        ({"hub": "a/b", "colour": "red"}, "unknown colour"),
    ],
)
def test_faulty_entries_are_told(tmp_path, facts, words):
    entry = {"title": "t", "use": "u", "license": "l", "input": "i"} | facts
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({"one": entry}))
    with pytest.raises(ValueError, match=f"one.*{words}|{words}"):
        read_registry(tmp_path / "r.yaml")


def test_the_list_shows_every_model_and_what_is_known_of_one(hub, capsys):
    assert run(door, ["list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in registry())
    assert any(line.split()[:2] == ["tiny-rid", "yes"] for line in shown.splitlines())
    assert any(line.split()[:2] == ["sd-1.5", "no"] for line in shown.splitlines())
    assert run(door, ["list", "sscd-disc-advanced"]) == 0
    shown = capsys.readouterr().out
    assert "unverified" in shown
    assert "MIT; code and weights" in shown
    assert run(door, ["list", "isc-dt1"]) == 0
    assert "CC-BY-NC-4.0" in capsys.readouterr().out
    assert not hub.seen, "a list asks nobody"


def test_models_to_be_got_by_hand_say_how_and_are_pinned_once_there(hub, capsys):
    assert run(door, ["pull", "rid-eps12"]) == 2
    said = told(capsys)
    assert "ASDS-eps-12_255.bin from https://drive.google.com" in said
    assert "--budget 6" in said
    (files_folder("rid-eps12") / "ASDS-eps-12_255.bin").write_bytes(b"first")
    assert run(door, ["pull", "rid-eps12"]) == 0
    assert "unverified: pinned as first seen" in capsys.readouterr().out
    (files_folder("rid-eps12") / "ASDS-eps-12_255.bin").write_bytes(b"other")
    assert run(door, ["pull", "rid-eps12"]) == 2
    assert "what was first seen here says" in told(capsys)
    assert (files_folder("rid-eps12") / "ASDS-eps-12_255.bin").is_file(), (
        "a person's file is not deleted"
    )


def test_the_shipped_models_are_whole_and_answer_as_they_did(capsys):
    names = [name for name, found in registry().items() if found.path]
    assert run(door, ["verify", *names]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == len(names)
    silent = {
        name for name, line in zip(names, shown, strict=True) if "outputs as recorded" not in line
    }
    not_asked = {"tiny-index", "tiny-ip-adapter", "tiny-restorer"}
    assert silent == not_asked, "an index, and networks that other libraries open"


def test_verify_sees_other_weights_and_other_answers(tmp_path, capsys):
    shutil.copytree(ROOT / "checkpoints" / "tiny" / "faces", tmp_path / "faces")
    folder = str(tmp_path / "faces")
    assert run(door, ["verify", folder]) == 0
    with np.load(tmp_path / "faces" / "golden.npz") as stored:
        np.savez(
            tmp_path / "faces" / "golden.npz",
            **{name: stored[name] * 1.01 for name in stored.files},
        )
    assert run(door, ["verify", folder]) == 2
    assert "its outputs differ by" in told(capsys)
    assert run(door, ["verify", folder, "--record"]) == 0
    assert run(door, ["verify", folder]) == 0
    weights = tmp_path / "faces" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert run(door, ["verify", folder]) == 2
    assert "is damaged" in told(capsys)
    (tmp_path / "faces" / "golden.npz").write_bytes(b"PK")
    assert run(door, ["verify", "sd-1.5"]) == 2
    assert "pull sd-1.5" in told(capsys)


def test_verify_refuses_a_config_of_another_class(tmp_path, capsys):
    shutil.copytree(ROOT / "checkpoints" / "tiny" / "faces", tmp_path / "faces")
    config = json.loads((tmp_path / "faces" / "config.json").read_text())
    (tmp_path / "faces" / "config.json").write_text(json.dumps(config | {"model": "Detector"}))
    assert run(door, ["verify", str(tmp_path / "faces")]) == 2
    assert "not a Detector's settings" in told(capsys)
