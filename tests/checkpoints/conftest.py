"""Fixtures: the Hub's server, the client without a network, and models to send and fetch."""

import json
import threading
from http.server import ThreadingHTTPServer

import pytest
import torch
from huggingface_hub import constants

from models.faces.face_net import FaceNet
from rid.generator import PerturbationGenerator
from tests.checkpoints.hub_server import Handler, Hub


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The server, and the client pointed at it, with an empty cache and no token."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hub = Hub()
    server.hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", server.hub.url)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        server.hub.url + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "home" / "assets"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "home" / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield server.hub
    server.shutdown()
    server.server_close()


@pytest.fixture
def offline(monkeypatch):
    """A switch that turns the network off."""
    return lambda: monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def network(tmp_path):
    """A small model's folder, as the files of a repository."""
    torch.manual_seed(0)
    FaceNet(image_size=16, channels=(8, 8), embedding=4).save_pretrained(tmp_path / "network")
    return {file.name: file.read_bytes() for file in (tmp_path / "network").iterdir()}


@pytest.fixture
def trained(tmp_path):
    """A generator's folder as a run leaves it."""
    torch.manual_seed(2)
    generator = PerturbationGenerator(
        budget=6.0, image_size=16, patch_size=8, width=16, depth=1, heads=2
    )
    torch.nn.init.normal_(generator.to_pixels.weight)
    folder = tmp_path / "run" / "generator"
    generator.half().save_pretrained(folder)
    record = {
        "command": "rid fit",
        "seed": 4,
        "steps": 90,
        "settings": {"surrogates": ["/home/ada/models/sd"], "lr": 3e-4},
    }
    (folder / "manifest.json").write_text(json.dumps(record))
    (folder / "notes.txt").write_text("mine")
    return folder


@pytest.fixture
def slept(monkeypatch):
    """The pauses that would have been made."""
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    return waits
