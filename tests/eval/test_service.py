"""The service over HTTP: the commands' answers, keys, limits, and its end."""

import base64
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("uvicorn", reason="the pages' libraries are not installed (make install-pages)")

import httpx
import uvicorn

from detectors.__main__ import main as detectors
from detectors.calibration import Calibration
from detectors.detector import Detector
from detectors.operating_points import OperatingPoint
from engine.cli import run
from engine.pages.shell import SERVED_POLICY
from engine.tables import read_table
from eval.__main__ import main
from eval.service.application import Limits, Service
from eval.service.keys import VARIABLE, Keys
from eval.service.task import Answer, Task
from eval.service.tasks import open_tasks
from eval.web.listening import configuration
from images.transforms.views import View
from indexing.__main__ import main as indexing
from rid.__main__ import main as rid
from tests.conftest import SHIPPED
from tests.engine.browser_pages import photo
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
PNG = {"content-type": "image/png"}
KEY = "0123456789abcdef-of-a-test"


class Waiting(Task):
    """Answers once it may, and notes for whom."""

    path = "/wait"
    about = "The name."

    def __init__(self):
        self.begun, self.may = threading.Semaphore(0), threading.Event()
        self.names = []

    def answer(self, name, content, max_pixels):
        self.names.append(name)
        self.begun.release()
        self.may.wait(30)
        if name == "fault":
            raise KeyError(name)
        return Answer({"file": name, "bytes": len(content)})


@contextmanager
def served(tasks, keys=(), **limits):
    """A client of a running service."""
    service = Service(tasks, Keys(list(keys)), Limits(**limits))
    port = free_port()
    server = uvicorn.Server(configuration(service.application("127.0.0.1"), "127.0.0.1", port))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as one:
            yield one
    finally:
        server.should_exit = True
        thread.join()
    assert service.line.taken == 0, "every place was given back"


@pytest.fixture(scope="module")
def models(generator_folder, tmp_path_factory):
    """A generator, a detector and an index, by option."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("detector")
    detector = Detector("tiny_patches", view=View("crop", size=32, resize=32))
    detector.calibration = Calibration(images=100, points=(OperatingPoint(0.05, -0.4, 0.4),))
    detector.save_pretrained(folder)
    return {"protector": str(generator_folder), "detector": str(folder), "index": SHIPPED / "index"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    photo(90, 70, 1).save(folder / "a.jpg", exif=exif)
    photo(64, 64, 2).save(folder / "b.png")
    return folder


def test_every_answer_is_the_commands(models, photos, tmp_path):
    quiet = ["--quiet", "--workers", "0", "--accelerator", "cpu", "--batch-size", "1"]
    made, scores, matches = tmp_path / "made", tmp_path / "s.csv", tmp_path / "m.csv"
    assert (
        rid(["protect", str(photos), "-o", str(made), "--weights", models["protector"], *quiet])
        == 0
    )
    scan = ["scan", str(photos), "-o", str(scores), "--weights", models["detector"], *quiet]
    assert detectors(scan) == 0
    search = ["search", str(photos), "-o", str(matches), "--index", str(models["index"]), *quiet]
    assert indexing(search) == 0
    files = {name: (photos / name).read_bytes() for name in ("a.jpg", "b.png")}
    with served(open_tasks(**models, accelerator="cpu")) as client:
        verdicts = read_table(scores)
        for name, row in zip(files, verdicts, strict=True):
            stem = name.partition(".")[0]
            protected = client.post(f"/protect?name={name}", content=files[name], headers=PNG)
            assert protected.headers["content-type"] == "image/png"
            assert protected.content == (made / f"{stem}.png").read_bytes()
            assert json.loads(protected.headers["x-result"])["levels"] <= 6
            verdict = client.post(f"/verdict?name={name}", content=files[name], headers=PNG).json()
            assert {key: str(verdict[key]) for key in row if row[key]} == {
                key: value for key, value in row.items() if value
            }
            found = client.post(f"/matches?name={name}", content=files[name], headers=PNG).json()
            wanted = [line for line in read_table(matches) if line["query"].endswith(name)]
            assert [line["match"] for line in found["matches"]] == [one["match"] for one in wanted]
            for ours, theirs in zip(found["matches"], wanted, strict=True):
                assert ours["similarity"] == pytest.approx(float(theirs["similarity"]), abs=1e-5)
                assert ours["verdict"] == theirs["verdict"]
        # several: a line for each, as they come
        form = [("photos", (name, content)) for name, content in files.items()]
        form.insert(1, ("photos", ("words.png", b"words")))
        with client.stream("POST", "/protect", files=form) as answer:
            lines = [json.loads(line) for line in answer.iter_lines()]
        assert [line["name"] for line in lines] == ["a.jpg", "words.png", "b.png"]
        assert base64.b64decode(lines[2]["png"]) == (made / "b.png").read_bytes()
        assert (lines[1]["status"], "words.png" in lines[1]["error"]) == (422, True)
        again = client.post("/protect", content=base64.b64decode(lines[2]["png"]), headers=PNG)
        assert (again.status_code, "changed by this project before" in again.text) == (422, True)


def bomb():
    """A PNG of 60,000 by 60,000 pixels in few bytes."""
    chunk = lambda kind, data: (  # noqa: E731
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    )
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1_000_000))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def test_what_is_no_small_image_is_refused(models, photos):
    def no_file(*_):
        raise AssertionError("uploads stay in memory")

    tasks = open_tasks(None, models["detector"], None, "cpu")
    with served(tasks, max_bytes=3_000_000, max_pixels=10_000, per_minute=0) as client:

        def post(content, headers=PNG):
            return client.post("/verdict", content=content, headers=headers)

        small = (photos / "b.png").read_bytes()
        assert post(small).status_code == 200
        assert post(b"\0" * 3_500_000).status_code == 413
        assert post(iter([b"\0" * 1_000_000] * 4)).status_code == 413, "of no stated length"
        assert post(small, {"content-type": "text/html"}).status_code == 415
        assert post(small, {"content-type": "multipart/form-data; boundary=x"}).status_code == 400
        assert post(b"").status_code == 400
        for content, words in (
            (bomb(), "million pixels"),
            (small[: len(small) // 2], "damaged"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
            (small + b"PK\3\4" * 9, "after the end of the image"),
        ):
            answer = post(content)
            assert (answer.status_code, words in answer.json()["error"]) == (422, True)
        many = [("photos", ("a.png", small))] * 17
        assert client.post("/verdict", files=many).status_code == 400
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(tempfile.SpooledTemporaryFile, "rollover", no_file)
            large = np.random.default_rng(0).bytes(2_000_000)
            [line] = client.post("/verdict", files={"p": ("../../x.png", large)}).text.splitlines()
            assert json.loads(line)["name"] == "x.png"
        assert client.get("/verdict").status_code == 405
        assert client.get("/../etc/passwd").status_code == 404
        assert client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_keys_rates_and_what_is_told(monkeypatch, tmp_path, capsys):
    task = Waiting()
    task.may.set()
    with served([task], [KEY, KEY[::-1]], per_minute=2) as client:
        mine = PNG | {"authorization": f"Bearer {KEY}"}
        for headers in (PNG, PNG | {"authorization": "Bearer wrong"}, PNG | {"authorization": KEY}):
            refused = client.post("/wait", content=b"x", headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
        assert [client.post("/wait", content=b"x", headers=mine).status_code for _ in range(2)] == [
            200,
            200,
        ]
        refused = client.post("/wait", content=b"x", headers=mine)
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        other = PNG | {"authorization": f"bearer {KEY[::-1]}"}
        assert client.post("/wait?name=fault", content=b"x", headers=other).status_code == 500
        assert client.get("/metrics").status_code == 401
        figures = client.get("/metrics", headers=mine).text
        assert 'image_defence_requests_total{path="/wait",status="200"} 2' in figures
        assert 'image_defence_requests_total{path="/wait",status="401"} 3' in figures
        assert 'image_defence_images_total{path="/wait",outcome="failed"} 1' in figures
        assert "image_defence_line_taken 0" in figures
        assert client.get("/health").json()["status"] == "ok"
        page = client.get("/")
        assert page.headers["content-security-policy"] == SERVED_POLICY
        assert "<script" not in page.text
        assert "//" not in page.text.replace("http://HOST", "")
        described = client.get("/openapi.json").json()
        assert set(described["paths"]) == {"/wait", "/health", "/metrics"}
        assert described["paths"]["/wait"]["post"]["security"] == [{"key": []}]
        assert KEY not in figures + page.text + json.dumps(described)
    said = capsys.readouterr()
    assert KEY not in said.out + said.err
    # keys of the environment, and mistakes
    monkeypatch.setenv(VARIABLE, f"{KEY},short-secret")
    file = tmp_path / "keys.txt"
    file.write_text("# none\n")
    for arguments, words in (
        (["--detector", "x"], f"{VARIABLE}, key 2: a key is of at least 16"),
        (["--detector", "x", "--keys", str(file)], "no keys"),
        (["--host", "0.0.0.0", "--detector", "x", "--keys", str(tmp_path / "none")], "none"),
    ):
        assert run(main, ["serve", *arguments]) == 2
        said = capsys.readouterr().err
        assert words in said
        assert "short-secret" not in said
    monkeypatch.delenv(VARIABLE)
    assert run(main, ["serve", "--host", "0.0.0.0", "--detector", "x"]) == 2
    assert "which takes keys" in capsys.readouterr().err
    assert run(main, ["serve"]) == 2
    assert "nothing to serve" in capsys.readouterr().err


def send(client, head, body=b""):
    """A bare connection that has sent the beginning of a request."""
    connection = socket.create_connection((client.base_url.host, client.base_url.port))
    connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
    return connection


def test_the_line_is_bounded_and_forgets_who_left():
    task = Waiting()
    head = (
        "POST /wait?name={} HTTP/1.1\nHost: 127.0.0.1\nContent-Type: image/png\nContent-Length: {}"
    )
    with served([task], places=2, body_s=0.3) as client:
        first = send(client, head.format("first", 1), b"x")
        assert task.begun.acquire(timeout=30)
        second = send(client, head.format("second", 1), b"x")
        while client.get("/health").json()["line"]["taken"] < 2:
            time.sleep(0.01)
        refused = client.post("/wait?name=third", content=b"x" * 100_000, headers=PNG)
        assert (refused.status_code, int(refused.headers["retry-after"]) >= 1) == (429, True)
        second.close()
        while client.get("/health").json()["line"]["taken"] > 1:
            time.sleep(0.01)
        # a body that does not come frees its place, too
        slow = send(client, head.format("slow", 1000), b"x")
        assert b" 408 " in slow.recv(1000)
        slow.close()
        task.may.set()
        assert b" 200 " in first.recv(1000)
        first.close()
        assert client.post("/wait?name=fourth", content=b"x", headers=PNG).status_code == 200
        figures = client.get("/metrics").text
        assert 'status="499"} 1' in figures
    assert task.names == ["first", "fourth"]


SLOW = """
import sys, time, uvicorn
from engine.cli import run
from eval.service.application import Limits, Service
from eval.service.keys import Keys
from eval.web.listening import configuration
from eval.service.task import Answer, Task

class Slow(Task):
    path, about = "/slow", "Late."
    def answer(self, name, content, max_pixels):
        print("begun", flush=True)
        time.sleep(0.5)
        return Answer({"file": name})

application = Service([Slow()], Keys([]), Limits()).application("127.0.0.1")
def serve(arguments):
    uvicorn.Server(configuration(application, "127.0.0.1", int(arguments[0]))).run()
    return 0
assert "torch" not in sys.modules
sys.exit(run(serve))
"""


def test_sigterm_finishes_what_is_being_answered():
    port = free_port()
    command = [sys.executable, "-c", SLOW, str(port)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as server:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            for _ in range(600):
                try:
                    client.get("/health")
                    break
                except httpx.ConnectError:
                    time.sleep(0.05)
            answers = []
            asked = threading.Thread(
                target=lambda: answers.append(client.post("/slow", content=b"x", headers=PNG))
            )
            asked.start()
            assert server.stdout.readline() == b"begun\n"
            os.kill(server.pid, signal.SIGTERM)
            asked.join()
        assert [answer.status_code for answer in answers] == [200]
        assert server.wait(30) == 143
        assert server.stderr.read() == b"stopped by SIGTERM\n"
