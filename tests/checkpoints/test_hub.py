"""Models pulled from the Hub, by the real client against a local server."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from checkpoints.__main__ import main as door
from checkpoints.folders import model_folder
from checkpoints.hub import cache_folder
from checkpoints.pins import lock_file
from checkpoints.pull import pull
from engine.cli import run
from models.faces.face_net import FaceNet

ROOT = Path(__file__).parents[2]


def told(capsys):
    return " ".join(
        line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")
    )


def test_a_model_is_pulled_opened_and_found_again_without_a_network(hub, network, offline, capsys):
    commit = hub.add("lab/faces", network)
    assert run(door, ["pull", "hf://lab/faces"]) == 0
    said = capsys.readouterr().out
    assert commit in said
    assert "model.safetensors: sha256" in said
    assert "unverified" not in said, "the Hub vouches for it"
    pictures = torch.rand(1, 3, 16, 16)
    opened = FaceNet.from_pretrained("lab/faces")(pictures)
    offline()
    asked = len(hub.seen)
    assert run(door, ["pull", "hf://lab/faces"]) == 0
    assert torch.equal(FaceNet.from_pretrained("lab/faces")(pictures).embeddings, opened.embeddings)
    assert torch.equal(
        FaceNet.from_pretrained("hf://lab/faces", revision=commit)(pictures).embeddings,
        opened.embeddings,
    )
    assert run(door, ["verify", "hf://lab/faces"]) == 0
    assert "opened as a FaceNet" in capsys.readouterr().out
    assert len(hub.seen) == asked
    assert run(door, ["pull", "hf://lab/others"]) == 2
    assert "HF_HUB_OFFLINE forbids downloads" in told(capsys)


def test_a_cut_connection_is_resumed(hub, network, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    large = network["model.safetensors"]
    hub.add("lab/faces", network)
    digest = pull("hf://lab/faces").sha256["model.safetensors"]
    for path in sorted(cache_folder("lab/faces").rglob("*"), reverse=True):
        path.unlink() if path.is_file() or path.is_symlink() else path.rmdir()
    hub.cuts[digest] = [len(large) // 2]
    hub.seen.clear()
    assert pull("hf://lab/faces").sha256["model.safetensors"] == digest
    ranges = [headers.get("Range") for headers in hub.asked("GET", "/cdn/")]
    assert ranges == [None, f"bytes={len(large) // 2 // 1024 * 1024}-"], (
        "the rest is asked for, not the whole again"
    )


def test_a_file_with_another_hash_is_refused_and_removed(hub, network, capsys):
    hub.add("lab/faces", network)
    wrong = bytearray(network["model.safetensors"])
    wrong[-1] ^= 1
    digest = sha256(network["model.safetensors"]).hexdigest()
    hub.swaps[digest] = bytes(wrong)
    assert run(door, ["pull", "hf://lab/faces"]) == 2
    assert "differs from the Hub's hash" in told(capsys)
    assert not [
        path
        for path in cache_folder("lab/faces").rglob("*")
        if path.name in (digest, "model.safetensors")
    ]
    with pytest.raises(ValueError, match="it was removed"):
        FaceNet.from_pretrained("lab/faces")
    hub.swaps.clear()
    assert run(door, ["pull", "rid-eps12", "hf://lab/faces"]) == 2, "one must be got by hand"
    assert "lab--faces" in capsys.readouterr().out, "the other is pulled all the same"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (None, "no such repository on the Hub, or a private one"),
        ((401, None, {}), "authentication required (401)"),
        ((403, "GatedRepo", {}), "is gated: agree to its terms at"),
        ((403, None, {}), "access denied (403)"),
        (
            (429, None, {"Retry_After": "1"}),
            "too many requests from you (429); try again in 1 seconds",
        ),
        ((503, None, {}), "the Hub has a fault (503)"),
    ],
)
def test_refusals_are_explained(hub, fault, words, capsys, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client tries again, with pauses
    if fault:
        hub.faults["lab/faces"] = fault
    assert run(door, ["pull", "hf://lab/faces"]) == 2
    assert words in told(capsys)
    with pytest.raises(FileNotFoundError, match="no model at 'lab/faces': no such folder"):
        model_folder("lab/faces")


def test_names_and_revisions_that_do_not_exist(hub, network, capsys, monkeypatch):
    hub.add("lab/faces", network)
    assert run(door, ["pull", "hf://lab/faces@v9"]) == 2
    assert "has no revision 'v9'" in told(capsys)
    assert run(door, ["pull", "hf://lab/fa ces"]) == 2
    assert "is not a Hub id" in told(capsys)
    assert run(door, ["pull", "rid-esp12"]) == 2
    assert "similar names: rid-eps12" in told(capsys)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert run(door, ["pull", "hf://lab/elsewhere"]) == 2
    assert "cannot be reached at http://127.0.0.1:9" in told(capsys)


def test_private_models_want_a_token_which_is_never_told(hub, network, capsys, monkeypatch):
    hub.add("lab/faces", network)
    hub.private.add("lab/faces")
    assert run(door, ["pull", "hf://lab/faces"]) == 2
    assert "hf auth login" in told(capsys)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert run(door, ["pull", "hf://lab/faces"]) == 0
    said = capsys.readouterr()
    assert hub.token not in said.out + said.err
    assert hub.token not in lock_file().read_text()


def test_what_was_seen_first_stays_until_an_update_is_asked_for(hub, network):
    first = hub.add("lab/faces", network)
    assert pull("hf://lab/faces").revision == first
    torch.manual_seed(1)
    second = hub.add("lab/faces", network | {"README.md": b"anew"})
    assert pull("hf://lab/faces").revision == first
    assert pull("hf://lab/faces", update=True).revision == second
    assert pull("hf://lab/faces").revision == second
    assert json.loads(lock_file().read_text())["hf://lab/faces"]["revision"] == second


def test_pickles_of_a_repository_are_told_of_and_not_opened(hub, tmp_path, capsys):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'harm'}",)

    torch.save({"x": Hostile()}, tmp_path / "model.bin")
    hub.add("lab/strange", {"pytorch_model.bin": (tmp_path / "model.bin").read_bytes()})
    assert run(door, ["pull", "hf://lab/strange"]) == 0
    assert (
        "contains more than tensors (posix.system): it will not be opened"
        in capsys.readouterr().out
    )
    assert run(door, ["verify", "hf://lab/strange"]) == 2
    assert "opening it would run posix.system. It was not opened" in told(capsys)
    assert not (tmp_path / "harm").exists()


def test_the_command_itself_with_the_clients_own_settings(hub, network, tmp_path):
    hub.add("lab/faces", network)
    settings = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "elsewhere"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
    }
    command = [sys.executable, "-m", "checkpoints", "pull", "hf://lab/faces"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "elsewhere" / "hub") in done.stdout
    asked = len(hub.seen)
    again = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | settings | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert len(hub.seen) == asked


@pytest.mark.parametrize(
    "where",
    ["GET /lab/faces/resolve", "HEAD /lab/faces/resolve", "GET /cdn/", "GET /api/models/lab/faces"],
)
@pytest.mark.parametrize(
    "trouble", [(429, {"Retry_After": "3"}), (500, {}), (502, {}), (503, {}), "reset"]
)
def test_a_passing_fault_does_not_end_a_pull(hub, network, slept, where, trouble, caplog):
    hub.add("lab/faces", network)
    hub.troubles[where] = [trouble] * 2
    pulled = pull("hf://lab/faces")
    assert set(pulled.sha256) == {"model.safetensors"}
    assert not hub.troubles[where]
    if not where.startswith("HEAD"):  # which the client sends again at once
        assert trouble[0] != 429 or max(slept) >= 3, "as long as was asked for"
        assert "trying again in" in caplog.text or "[Retry 1" in caplog.text, (
            "told of, by us or by the client"
        )


def test_a_passing_fault_downloads_nothing_twice(hub, network, slept):
    hub.add("lab/faces", network | {"notes.txt": b"notes"})
    digest = pull("hf://lab/faces").sha256["model.safetensors"]
    (cache_folder("lab/faces") / "blobs" / digest).unlink()
    hub.seen.clear()
    hub.troubles["HEAD /lab/faces/resolve"] = [(500, {})]
    pull("hf://lab/faces")
    assert len(hub.asked("GET", "/resolve/")) == 0, "what is here is not asked for"
    assert len(hub.asked("GET", "/cdn/")) == 1


def test_a_wait_of_an_hour_is_not_waited_for(hub, network, slept, capsys):
    hub.add("lab/faces", network)
    hub.troubles["HEAD /lab/faces/resolve"] = [(429, {"Retry_After": "3600"})] * 50
    assert run(door, ["pull", "hf://lab/faces"]) == 2
    assert "too many requests from you (429); try again in 3600 seconds" in told(capsys)
    assert sum(slept) < 60


def test_a_page_instead_of_data_is_told(hub, network, trained, slept, capsys, monkeypatch):
    hub.add("lab/faces", network)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    for where, command in (
        ("GET /api/models/lab/faces", ["pull", "hf://lab/faces"]),
        ("POST /api/repos/create", ["push", str(trained), "ada/protector"]),
        ("POST /api/models/ada/protector/commit", ["push", str(trained), "ada/protector"]),
    ):
        hub.troubles[where] = ["page"] * 20
        assert run(door, command) == 2
        assert "is not the Hub: it sent a web page" in told(capsys)
        hub.troubles.clear()


def test_the_hub_sends_nobody_into_their_own_network(hub, network, monkeypatch, capsys):
    hub.add("lab/faces", network)
    # where the server keeps large files
    monkeypatch.setattr("checkpoints.redirects._is_private", lambda host: host == "localhost")
    assert run(door, ["pull", "hf://lab/faces"]) == 2
    assert "127.0.0.1 redirects to localhost, which is inside this machine's own network" in told(
        capsys
    )
    assert not hub.asked("GET", "/cdn/")
