"""Requests and commands that a human test refuses."""

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.cli import run as run_command
from engine.files import locked
from engine.manifest import read_manifest
from eval.__main__ import main
from eval.human.pictures import LabelledFolders

pytest.importorskip(
    "starlette", reason="the pages' libraries are not installed (make install-pages)"
)
pytest.importorskip("httpx", reason="the pages' libraries are not installed (make install-pages)")

import httpx
from starlette.testclient import TestClient

from engine.pages.shell import SERVED_POLICY
from eval.human.application import application
from eval.human.design import design_of
from eval.human.server import prepare_study
from eval.human.store import Store
from eval.web.admission import Admission, network
from eval.web.listening import listen, url_of
from tests.eval.human_study import begin, complete, design, study
from tests.ports import free_port

run = partial(run_command, main)


def test_strangers_get_nothing(folders, tmp_path):
    store, client = study(folders, tmp_path, participants=1)
    page = begin(client)
    assert client.post("/begin", data={"about0": "Yes", "consent": "yes"}).status_code == 403
    assert (
        "This study is full" in client.post("/begin", data={"about0": "Yes", "consent": "yes"}).text
    )
    assert client.get("/take/nobody").status_code == 404
    for path in (
        "/picture/0",
        "/picture/..%2Fstudy.sqlite",
        "/pictures/0.bin",
        "/study.sqlite",
        "/manifest.json",
        "/docs",
    ):
        assert client.get(path).status_code == 404
    assert client.post("/begin", data={"about0": "' or 1=1", "consent": "yes"}).status_code == 400
    assert client.post("/begin", data={"about0": "Yes"}).status_code == 400
    assert client.post(page, data={"choice": "x" * 30_000}).status_code == 413
    assert client.post(page, files={"choice": ("a.png", b"x")}).status_code == 413
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    assert client.get("/").headers["content-security-policy"] == SERVED_POLICY
    with sqlite3.connect(store.file) as connection:
        assert connection.execute("select count(*) from participants").fetchone()[0] == 1


def test_one_address_cannot_take_every_place(folders, tmp_path):
    made = design(participants=500)
    store = prepare_study(made, LabelledFolders(folders), tmp_path / "out", seed=3)
    client = TestClient(
        application(made, store, tmp_path / "out", 3, per_address=3), base_url="http://localhost"
    )
    pages = [begin(client) for _ in range(3)]
    refused = client.post("/begin", data={"about0": "Yes", "consent": "yes"})
    assert refused.status_code == 429
    assert "3 people have begun this study from your network within the hour" in refused.text
    assert "again in 60 minutes" in refused.text
    assert client.get(pages[0]).status_code == 200, "who has begun goes on"
    with sqlite3.connect(store.file) as connection:
        assert connection.execute("select count(*) from participants").fetchone()[0] == 3


def test_places_come_free_after_an_hour_and_networks_count_as_one():
    now = [0.0]
    admission = Admission(2, clock=lambda: now[0])
    for second in (0, 600):
        now[0] = second
        assert not admission.wait(network("2001:db8::1"))
        admission.admit(network(f"2001:db8::{second}"))
    assert admission.wait(network("2001:db8::ffff")) == 3000
    assert not admission.wait(network("2001:db8:0:1::1"))
    now[0] = 3601
    assert not admission.wait(network("2001:db8::1"))
    assert network("::ffff:192.0.2.7") == network("192.0.2.7") == "192.0.2.7"
    unlimited = Admission(0)
    for _ in range(1000):
        unlimited.admit("192.0.2.7")
    assert not unlimited.wait("192.0.2.7")


def test_mistakes_are_one_line(folders, tmp_path, capsys):
    settings_ = [
        f"--{name}={value}"
        for name, value in (
            ("design.kind", "label"),
            ("design.title", "T"),
            ("design.question", "?"),
        )
    ]
    common = [
        "study",
        "-o",
        str(tmp_path / "out"),
        *settings_,
        "--design.labels={real: a, generated: b}",
        "--pictures=eval.human.pictures.LabelledFolders",
    ]
    source = (
        "--pictures.folders={real: "
        + str(folders["real"])
        + ", generated: "
        + str(folders["generated"])
        + "}"
    )
    for more, words in (
        ([source, "--design.target=fake", "--design.number=2"], "not one of the labels"),
        ([source, "--design.target=real", "--design.number=500"], "but there are 12"),
        (
            [source, "--design.target=real", "--design.number=2", "--design.size=50"],
            "less than the test's size of 50",
        ),
        (
            ["--pictures.folders={real: none}", "--design.target=real", "--design.number=2"],
            "no such folder",
        ),
    ):
        assert run([*common, *more]) == 2
        told = capsys.readouterr().err
        assert words in told
        assert told.strip().splitlines()[-1].startswith("error:")
    assert not (tmp_path / "out" / "study.sqlite").exists()
    assert run(["answers", str(tmp_path)]) == 2
    assert "run python -m eval study" in capsys.readouterr().err


def test_a_damaged_manifest_is_named(folders, tmp_path, capsys):
    study(folders, tmp_path)
    (tmp_path / "manifest.json").write_text('{"settings": {"design": {"kind": "label"}}}')
    assert run(["answers", str(tmp_path)]) == 2
    assert f"{tmp_path / 'manifest.json'}: damaged" in capsys.readouterr().err


def test_a_database_whose_schema_is_no_text_is_named(tmp_path):
    store = Store(tmp_path / "study.sqlite")
    store.create([], [])
    content = store.file.read_bytes()
    store.file.write_bytes(content.replace(b"CREATE TABLE pictures", b"CREATE TABL\xff pictures"))
    with pytest.raises(ValueError, match=r"study\.sqlite: not the database of a study, or damaged"):
        store.stimuli()


def pair_design(**changes):
    arms = {"clean": "as it was", "rid": "protected"}
    return design(kind="pair", labels=arms, target="rid", codec="png", reasons=[], **changes)


@pytest.fixture
def sides(tmp_path):
    """Ten photos, and as many protected ones, by name."""
    rng = np.random.default_rng(0)
    for arm in ("clean", "rid"):
        (tmp_path / arm).mkdir()
        for number in range(10):
            levels = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(levels).save(tmp_path / arm / f"{number}.png")
    return {arm: tmp_path / arm for arm in ("clean", "rid")}


def test_images_that_form_no_pair_are_named_and_counted(sides, tmp_path, caplog):
    (sides["rid"] / "0.png").unlink()
    (sides["rid"] / "1.png").rename(sides["rid"] / "one.png")
    (sides["rid"] / "2.png").write_bytes((sides["clean"] / "2.png").read_bytes())
    (sides["clean"] / "notes.txt").write_text("of the photos")
    output = tmp_path / "out"
    store = prepare_study(pair_design(), LabelledFolders(sides), output, 0)
    left = {"clean/0.png", "clean/1.png", "rid/one.png", "clean/2.png", "rid/2.png"}
    told = [line for line in caplog.messages if line.startswith("left out: ")]
    for name in left | {"clean/notes.txt"}:
        assert sum(f"left out: {tmp_path / name}: " in line for line in told) == 1
    assert len(told) == 6
    shown = {str(one.file.relative_to(tmp_path)) for one in store.stimuli()}
    assert not shown & left
    manifest = read_manifest(output)
    assert manifest["given"] == 19 == len(shown) + len(manifest["left_out"])
    assert set(manifest["left_out"]) == {str(tmp_path / name) for name in left}
    with pytest.raises(ValueError, match="8 of pairs, but there are 7"):
        prepare_study(pair_design(number=8), LabelledFolders(sides), tmp_path / "more", 0)


def test_two_images_of_one_name_are_no_pair(sides, tmp_path):
    Image.new("RGB", (40, 40)).save(sides["rid"] / "3.jpg")
    with pytest.raises(ValueError, match=r"3\.jpg and .*3\.png: two images of one name; keep one"):
        prepare_study(pair_design(), LabelledFolders(sides), tmp_path / "out", 0)


def test_one_image_has_one_label(folders, tmp_path):
    folders = {label: shutil.copytree(folders[label], tmp_path / label) for label in folders}
    twice = next(folders["real"].rglob("*.jpg"))
    shutil.copy(twice, folders["generated"])
    with pytest.raises(ValueError, match="one image, labeled real and generated; keep the true"):
        study(folders, tmp_path / "out")


def test_every_image_that_cannot_be_shown_is_named(sides, tmp_path, caplog):
    (sides["rid"] / "4.png").write_bytes(b"no image")
    Image.new("RGB", (8, 8)).save(sides["clean"] / "5.png")
    with pytest.raises(ValueError, match="2 of 20 images cannot be shown; the first: "):
        prepare_study(pair_design(), LabelledFolders(sides), tmp_path / "out", 0)
    assert any("rid/4.png" in line for line in caplog.messages)
    assert any("clean/5.png" in line for line in caplog.messages)
    assert not (tmp_path / "out").exists()


ROOT = Path(__file__).parents[2]


def wait_for(client):
    """Wait until a server answers."""
    for _ in range(600):
        try:
            return client.get("/")
        except httpx.ConnectError:
            time.sleep(0.1)
    raise AssertionError


FORM = {"content-type": "application/x-www-form-urlencoded"}


def answered(store):
    return [(answer.place, answer.choice) for answer in store.answers()]


def test_what_is_posted_by_hand_is_one_answer_or_none(folders, tmp_path):
    store, client = study(folders, tmp_path)
    page = begin(client)
    client.get(page)
    for place in ("0000000000", "-1", "\u0660", "\u00b2", "9" * 40, "", "0 "):
        found = client.post(page, data={"place": place, "choice": "real"})
        assert "missing" in str(found.url)
    client.post(page, content="place=0&place=7&choice=real", headers=FORM)
    client.post(page, content=b"place=\xff&choice=\xff", headers=FORM)
    assert store.answers() == []
    client.post(page, content="place=0&choice=generated&reason=0&reason=0&reason=9", headers=FORM)
    client.post(page, content="place=0&choice=real", headers=FORM)
    assert answered(store) == [(0, "generated")]
    assert store.answers()[0].reasons == ["Blur"]
    assert client.post("/take/nobody", data={"place": "0", "choice": "real"}).status_code == 404
    assert store.participation() == {"began": 1, "completed": 0}


def asked(application_, body, path="/begin"):
    """Status of a request whose body comes in these parts, without a length; "gone" ends it."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in body]
    messages.append({"type": "http.disconnect"})
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", FORM["content-type"].encode())],
    }
    asyncio.run(application_(scope, receive, send))
    return sent[0]["status"], len(messages)


def test_a_form_without_a_length_has_a_limit_and_may_break_off(folders, tmp_path):
    made = design()
    store = prepare_study(made, LabelledFolders(folders), tmp_path / "out", seed=3)
    served = application(made, store, tmp_path / "out", 3)
    assert asked(served, [b"x" * 8_000] * 9) == (413, 7), "the rest is not read"
    assert asked(served, [b"consent=yes&abo"]) == (413, 0)
    assert store.participation() == {"began": 0, "completed": 0}


def test_a_fault_of_the_study_is_told_and_logged_in_one_line(folders, tmp_path, caplog):
    store, client = study(folders, tmp_path)
    page = begin(client)
    picture = re.search(r"/picture/[\w-]+", client.get(page).text)[0]
    for file in (tmp_path / "pictures").iterdir():
        file.unlink()
    found = client.get(picture)
    assert found.status_code == 503
    assert "was not saved" in found.text
    assert str(tmp_path) not in found.text
    assert caplog.messages[-1].endswith(".bin'")
    store.file.write_bytes(b"no database at all" * 100)
    assert client.post(page, data={"place": "0", "choice": "real"}).status_code == 503
    assert "study.sqlite: not the database of a study" in caplog.messages[-1]


def test_a_database_that_is_in_use_is_not_called_damaged(tmp_path, monkeypatch):
    store = Store(tmp_path / "study.sqlite")
    store.create([], [])
    monkeypatch.setattr("eval.human.store.TIMEOUT_S", 0.1)
    with closing(sqlite3.connect(store.file)) as other:
        other.execute("begin exclusive")
        with pytest.raises(OSError, match=r"study\.sqlite: database is locked; check the disk"):
            store.stimuli()
    (tmp_path / "none").mkdir()
    with pytest.raises(OSError, match="unable to open database file"):
        Store(tmp_path / "none").stimuli()


def test_file_names_that_are_no_text_are_kept(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for label in ("real", "generated"):
        category = os.fsdecode(os.fsencode(tmp_path / label) + b"/caf\xe9")
        os.makedirs(category)
        for number in range(6):
            levels = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(levels).save(f"{category}/{number}.png")
    folders = {label: tmp_path / label for label in ("real", "generated")}
    store, client = study(folders, tmp_path / "out")
    complete(client, store, lambda label, _: label)
    assert {one.category for one in store.stimuli()} == {"caf\udce9"}
    assert run(["answers", str(tmp_path / "out")]) == 0
    for name in ("answers.csv", "human_scores.csv"):
        assert b"caf\xe9" in (tmp_path / "out" / name).read_bytes()


def test_a_study_stopped_while_it_prepares_leaves_nothing(folders, tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("eval.human.server.prepare_all", stopped)
    with pytest.raises(KeyboardInterrupt):
        study(folders, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_images_that_are_served_stay_with_their_study(folders, tmp_path):
    output = tmp_path / "out"
    study(folders, output)
    (output / "pictures" / "3.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"3\.bin: no such file; restore a copy of it"):
        study(folders, output)


def test_a_study_is_not_kept_among_its_images(folders, tmp_path):
    folders = {label: shutil.copytree(folders[label], tmp_path / label) for label in folders}
    with pytest.raises(ValueError, match=f"out lies inside the input {folders['real']}"):
        study(folders, folders["real"] / "out")
    assert not (folders["real"] / "out").exists()


def test_designs_of_earlier_versions_can_be_analyzed(folders, tmp_path, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr("eval.human.design.Design.check_words", lambda _: None)
        study(folders, tmp_path, about={"Age": ["old", "old"]})
    assert design_of(tmp_path).about == {"Age": ["old", "old"]}
    study(folders, tmp_path, about={"Age": ["old", "old"]})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "rating", "scale": ["a", "b"]}, "reasons: only for kind label"),
        ({"scale": ["a", "b"]}, "scale: only for kind rating"),
        ({"about": {"Age": []}}, "'Age' needs answers that differ"),
        ({"about": {"Age": ["old", "old"]}}, "'Age' needs answers that differ"),
        ({"labels": {"real": "Yes", "generated": " "}}, "'answers' needs answers that differ"),
        ({"labels": {"real": "Yes", "generated": "Yes"}}, "'answers' needs answers that differ"),
        ({"kind": "rating", "scale": ["a", "a"], "reasons": []}, "'answers' needs answers"),
    ],
)
def test_designs_that_nobody_could_answer_are_refused(changes, words, folders, tmp_path):
    with pytest.raises(ValueError, match=words):
        study(folders, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


STUDY = (
    "study -o {output} --design.kind=label --design.title=T --design.question=? --design.number=2 "
    "--design.size=32 --design.target=real --pictures=eval.human.pictures.LabelledFolders"
)


@pytest.fixture
def words(folders, tmp_path):
    """Words of a command that serves a study."""
    labels = "--design.labels={real: a, generated: b}"
    where = ", ".join(f"{label}: {folder}" for label, folder in folders.items())
    words = STUDY.format(output=tmp_path / "out").split()
    return [*words, labels, f"--pictures.folders={{{where}}}"]


def test_a_study_has_one_server(words, tmp_path, capsys):
    with locked(tmp_path / "out"):
        assert run([*words, "--port", "0"]) == 2
    assert "another run is writing into this folder" in capsys.readouterr().err


def test_servers_cannot_listen_on_every_address(words, tmp_path, capsys):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        for more, told in (
            ([f"--port={port}"], f"error: cannot listen on 127.0.0.1, port {port}: "),
            (["--port=65536"], "error: --port: 65536 is not a port"),
            (["--port=-1"], "error: --port: -1 is not a port"),
            (["--host=192.0.2.1"], "error: cannot listen on 192.0.2.1, port 8000: "),
            (["--host=no..name"], "error: cannot listen on no..name, port 8000: "),
            (["--per-address=-1"], "error: --per-address is at least 0, got -1"),
        ):
            assert run([*words, *more]) == 2
            assert capsys.readouterr().err.startswith(told)
        assert run(["demo", f"--port={port}"]) == 2
        assert f"port {port}" in capsys.readouterr().err
        assert url_of("127.0.0.1", taken) == f"http://127.0.0.1:{port}/"
        assert url_of("::1", taken) == f"http://[::1]:{port}/"


@pytest.mark.skipif(sys.platform == "win32", reason="kills by a POSIX signal")
def test_answers_survive_a_server_that_is_killed(words, tmp_path):
    """Participants answer at once while the server is killed; each answer it confirmed is kept."""
    confirmed = {}
    for _ in range(2):
        port = free_port()
        command = [sys.executable, "-m", "eval", *words, "--port", str(port)]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as server:
            address = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=address, trust_env=False) as client:
                wait_for(client)
                for _ in range(3):
                    page = client.post("/begin", data={"consent": "yes"}).headers["location"]
                    confirmed[page] = 0
                for page in confirmed:
                    text = client.get(page).text
                    assert f"Question {confirmed[page] + 1} of 4" in text
                    data = {"place": str(confirmed[page]), "choice": "real"}
                    assert client.post(page, data=data).status_code == 303
                    confirmed[page] += 1
            server.kill()
    store = Store(tmp_path / "out" / "study.sqlite")
    assert sorted(answered(store)) == sorted(
        (place, "real") for count in confirmed.values() for place in range(count)
    )
