"""A local service that answers like OpenAI's, with scripted faults."""

import base64
import io
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    CLIPConfig,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    SiglipConfig,
    SiglipModel,
    ViTConfig,
    ViTModel,
)

from images.io import save_png
from images.photo import Photo
from models.image_text_net import ImageTextNet
from sentinels.service import Service
from tiny.diffusion import build_tokenizer

KEY = "sk-very-secret-0123456789"

DESCRIPTION = (
    '```json\n{"subject": {"type": "thing", "brief description": "a thing"}, '
    '"technical": {"resolution": {"width": 9, "height": 9}}}\n```'
)


def picture_bytes(colour=(200, 30, 30), kind="PNG", size=(96, 64)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format=kind)
    return buffer.getvalue()


class StubService:
    """A local service that counts requests and plays scripted faults first.

    ``faults`` has one entry for each request: a name of :meth:`fault`, or None for a good answer.
    ``questions`` are the bodies of the requests without random boundaries, and ``answered`` those
    with an answer. After ``most`` answers it stays silent and keeps clients waiting.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict]] = []
        self.faults: list[str | None] = []
        self.say = self.answer
        self.drawn = picture_bytes()
        self.authorizations: list[str] = []
        self.questions: list[bytes] = []
        self.answered: list[bytes] = []
        self.most: int | None = None
        self.turn, self.closing = threading.Lock(), threading.Event()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                stub.serve_file(self)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                asked = (
                    json.loads(body)
                    if "json" in self.headers["content-type"]
                    else {"form": len(body)}
                )
                boundary = self.headers["content-type"].partition("boundary=")[2].encode()
                question = self.path.encode() + (body.replace(boundary, b"") if boundary else body)
                with stub.turn:
                    stub.authorizations.append(self.headers.get("authorization", ""))
                    stub.requests.append((self.path, asked))
                    stub.questions.append(question)
                    silent = stub.most is not None and len(stub.answered) >= stub.most
                    if not silent:
                        stub.answered.append(question)
                if silent:
                    stub.closing.wait()
                    self.close_connection = True
                    return
                fault = stub.faults.pop(0) if stub.faults else None
                stub.fault(self, fault) if fault else stub.good(self, asked)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def good(self, handler, asked):
        if "/images/" in handler.path:
            return send(
                handler, 200, {"data": [{"b64_json": base64.b64encode(self.drawn).decode()}]}
            )
        return send(handler, 200, chat(self.say(asked)))

    def answer(self, asked) -> str:
        text = json.dumps(asked["messages"])
        if "JSON object" in text:
            return DESCRIPTION
        if "Begin your answer with yes or no" in text:
            return "No, it lacks the letters."
        if "Which of these" in text:
            return "0"
        return "1. 'ABCDEF'"

    def fault(self, handler, name):
        said = {
            "prose": "Here is what I see: a thing.",
            "no": "no",
            "undecided": "Eyes, yes, everywhere.",
            "sorry": "I'm sorry, I can't help with that.",
            "empty": "",
            "link": f"![picture]({self.root}/files/a.png) and more",
            "two links": f"{self.root}/files/a.png {self.root}/files/missing.png",
            "html link": f"{self.root}/files/page.html",
            "missing link": f"{self.root}/files/missing.png",
            "private link": "http://10.0.0.1/a.png",
            "redirecting link": f"{self.root}/files/redirect",
            "file link": "file:///etc/passwd",
        }
        if name in said:
            return send(handler, 200, chat(said[name]))
        if name == "429":
            return send(handler, 429, {"error": "slow down"}, {"Retry-After": "0.2"})
        if name == "429 long":
            return send(handler, 429, {"error": "come back tomorrow"}, {"Retry-After": "86400"})
        if name in ("500", "503"):
            return send(handler, int(name), {"error": "broken"})
        if name == "401":
            return send(handler, 401, {"error": f"Incorrect API key provided: {KEY}"})
        if name == "401 long":  # the key lies across the end of what a message quotes
            return send(handler, 401, {"error": "x" * 285 + f"\n{KEY}"})
        if name in ("403", "403 flagged"):
            why = "Your input was flagged" if "flagged" in name else "no access to this model"
            return send(handler, 403, {"error": {"message": why}})
        if name == "slow":
            time.sleep(1.5)
            return send(handler, 200, chat("late"))
        if name == "cut":
            content = json.dumps(chat("whole")).encode()
            return send(handler, 200, content[: len(content) // 2])
        if name == "short":  # fewer bytes than were promised
            handler.send_response(200)
            handler.send_header("content-length", "5000")
            handler.end_headers()
            handler.wfile.write(b'{"choices"')
            handler.close_connection = True
            return None
        if name == "big":
            return send(handler, 200, b" " * (3 * 2**20))
        if name == "length":
            return send(
                handler,
                200,
                {"choices": [{"message": {"content": '{"subj'}, "finish_reason": "length"}]},
            )
        if name == "refusal":
            return send(
                handler,
                200,
                {"choices": [{"message": {"content": None, "refusal": "I will not."}}]},
            )
        if name == "list":
            return send(handler, 200, [1, 2])
        if name == "redirect":
            return send(handler, 302, {}, {"Location": "http://169.254.169.254/"})
        if name == "not a picture":
            return send(
                handler, 200, {"data": [{"b64_json": base64.b64encode(b"<html></html>").decode()}]}
            )
        if name == "bad base64":
            return send(handler, 200, {"data": [{"b64_json": "%%%"}]})
        if name == "picture url":
            return send(handler, 200, {"data": [{"url": f"{self.root}/files/a.png"}]})
        raise AssertionError(name)

    def serve_file(self, handler):
        if handler.path.endswith("redirect"):
            return send(handler, 302, b"", {"Location": "http://192.168.1.1/router.png"})
        if handler.path.endswith("page.html"):
            return send(handler, 200, b"<html>log in first</html>", {"Content-Type": "text/html"})
        if handler.path.endswith("a.png"):
            return send(handler, 200, self.drawn, {"Content-Type": "application/octet-stream"})
        return send(handler, 404, b"", {})


def chat(text) -> dict:
    return {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]
    }


def send(handler, status, content, headers=None):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    made = StubService()
    yield made
    made.closing.set()
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def service(stub) -> Service:
    return Service(base_url=f"{stub.root}/v1", timeout=5, max_megabytes=2, attempts=3)


@pytest.fixture(scope="session")
def collection(tmp_path_factory) -> Path:
    """Nine images with different textures, two with one name in two sub-folders, one JPEG."""
    folder, rng = tmp_path_factory.mktemp("collection"), np.random.default_rng(0)
    for number in range(9):
        coarse = Image.fromarray(rng.integers(30, 220, (4, 6, 3), dtype=np.uint8)).resize(
            (120, 80), Image.Resampling.BICUBIC
        )
        name = f"0000{number % 2}/{number // 2:09d}"
        if number == 8:
            coarse.save(folder / "00000" / "000000004.jpg", quality=88)
        else:
            save_png(Photo(np.asarray(coarse)), folder / f"{name}.png")
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Small models of every kind, untrained, as their libraries save them."""
    torch.manual_seed(0)
    folder, tokenizer = (
        tmp_path_factory.mktemp("models"),
        build_tokenizer(["a red thing", "a blue thing"]),
    )
    text = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "vocab_size": len(tokenizer),
    }
    text |= {
        "max_position_embeddings": 12,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    vision = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "image_size": 32,
        "patch_size": 8,
    }
    CLIPModel(
        CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    ).save_pretrained(folder / "clip")
    SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(
        folder / "siglip"
    )
    ViTModel(ViTConfig(**vision)).save_pretrained(folder / "dino")
    Dinov2Model(Dinov2Config(**vision)).save_pretrained(folder / "dinov2")
    for name in ("clip", "siglip"):
        tokenizer.save_pretrained(folder / name)
    ImageTextNet(["a", "red", "thing"], side=64, reader=(4, 4, 8), looks=(4, 8)).save_pretrained(
        folder / "reads"
    )
    return folder
