"""Requests and commands that a human test refuses."""

import sqlite3
from functools import partial

import pytest

from engine.cli import run as run_command
from eval.__main__ import main
from eval.human.pictures import LabelledFolders

pytest.importorskip(
    "starlette", reason="the pages' libraries are not installed (make install-pages)"
)
pytest.importorskip("httpx", reason="the pages' libraries are not installed (make install-pages)")

from starlette.testclient import TestClient

from engine.pages.shell import SERVED_POLICY
from eval.human.application import application
from eval.human.server import prepare_study
from eval.human.store import Store
from eval.web.admission import Admission, network
from tests.eval.human_study import begin, design, study

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
