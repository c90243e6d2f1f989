"""Embeddings of an OpenAI-compatible endpoint on this machine."""

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from engine.cli import run
from engine.http_status import KeyRefused, ServiceError
from images.io import save_png
from images.photo import Photo
from models.embedders import identify_model, open_embedder
from models.endpoint import KEY_VARIABLE, EndpointEmbedder
from sentinels.__main__ import main

KEY = "sk-secret-9876543210"


class Endpoint:
    """Embeds an image by its mean color, and a text by the color that it names."""

    def __init__(self):
        self.faults, self.requests = [], []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                endpoint.requests.append((self.path, self.headers.get("authorization"), body))
                status = endpoint.faults.pop(0) if endpoint.faults else 200
                answer = {"error": f"no, {KEY}"} if status != 200 else endpoint.answer(body)
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.name = f"http://127.0.0.1:{self.server.server_port}/v1#colors"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, body):
        rows = []
        for index, item in enumerate(body["input"]):
            rows.append({"index": index, "embedding": self.vector(item)})
        return {"data": rows[::-1], "model": body["model"]}

    def vector(self, item):
        if isinstance(item, str):
            return [float(color in item) for color in ("red", "green", "blue")]
        content = base64.b64decode(item["image"].partition("base64,")[2])
        return (np.asarray(Image.open(io.BytesIO(content))).mean(axis=(0, 1)) + 1).tolist()


@pytest.fixture
def endpoint(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    made = Endpoint()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_images_and_texts_are_embedded(endpoint):
    embedder = open_embedder(endpoint.name)
    red, blue = (np.full((30, 40, 3), color, np.uint8) for color in ((200, 0, 0), (0, 0, 200)))
    vectors = embedder.embed_arrays([red, blue])
    assert vectors.shape == (2, 3)
    assert vectors.norm(dim=1).tolist() == pytest.approx([1, 1])
    texts = embedder.embed_texts(["a red house", "blue"])
    assert (texts @ vectors.T).argmax(dim=1).tolist() == [0, 1]
    path, authorization, body = endpoint.requests[-1]
    assert (path, authorization, body["model"]) == ("/v1/embeddings", f"Bearer {KEY}", "colors")
    assert identify_model(endpoint.name) == {"name": endpoint.name}
    assert KEY not in json.dumps(embedder.record())


def test_a_collection_is_embedded_and_searched_by_text_and_by_image(endpoint, tmp_path, capsys):
    for name, color in (("a", (200, 0, 0)), ("b", (0, 200, 0)), ("c", (0, 0, 200))):
        save_png(Photo(np.full((16, 16, 3), color, np.uint8)), tmp_path / "in" / f"{name}.png")
    store = str(tmp_path / "store")
    assert run(main, ["embed", str(tmp_path / "in"), "-o", store, "--weights", endpoint.name]) == 0
    capsys.readouterr()
    assert run(main, ["retrieve", store, "something green", "--top-k", "1"]) == 0
    assert "b.png" in capsys.readouterr().out
    image = str(tmp_path / "in" / "c.png")
    assert run(main, ["retrieve", store, "--image", image, "--top-k", "1"]) == 0
    assert "1.0000  c.png" in capsys.readouterr().out
    assert run(main, ["retrieve", store, "text", "--image", image]) == 2
    assert run(main, ["retrieve", store]) == 2
    assert "give a search text" in capsys.readouterr().err


def test_a_refused_key_ends_a_job_at_once(endpoint, tmp_path, capsys):
    for number in range(4):
        image = np.full((16, 16, 3), 40 * number, np.uint8)
        save_png(Photo(image), tmp_path / "in" / f"{number}.png")
    endpoint.faults = [200, *[401] * 20]
    given = [str(tmp_path / "in"), "-o", str(tmp_path / "store"), "--weights", endpoint.name]
    assert run(main, ["embed", *given, "--batch-size", "1"]) == 2
    told = capsys.readouterr().err
    assert "status 401" in told
    assert KEY not in told
    assert len(endpoint.requests) == 2


def test_passing_faults_are_tried_again_and_lasting_ones_are_told(endpoint):
    network = EndpointEmbedder(endpoint.name, first_wait=0.01)
    endpoint.faults = [500, 429]
    assert network.embed_texts(["red"]).tolist() == [[1, 0, 0]]
    endpoint.faults = [500] * 9
    with pytest.raises(ServiceError, match="gave up on: status 500"):
        network.embed_texts(["red"])
    endpoint.faults = [403]
    with pytest.raises(KeyRefused, match="check the API key"):
        network.embed_texts(["red"])
    endpoint.faults, endpoint.answer = [], lambda body: {"data": []}
    with pytest.raises(ServiceError, match="vectors for 1 items"):
        network.embed_texts(["red"])
    endpoint.answer = lambda body: {"nothing": 1}
    with pytest.raises(ServiceError, match="holds no vectors"):
        network.embed_texts(["red"])


def test_names_and_keys_are_checked(endpoint, monkeypatch):
    for wrong in ("https://host.example/v1", "https://a:b@host.example/v1#m"):
        with pytest.raises(ValueError, match="https://HOST/v1#MODEL"):
            EndpointEmbedder(wrong)
    with pytest.raises(ValueError, match="use https"):
        EndpointEmbedder("http://host.example/v1#m")
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(ValueError, match=KEY_VARIABLE):
        EndpointEmbedder("https://host.example/v1#m")
