"""Requests and commands that a human test refuses."""

import shutil
import sqlite3
from functools import partial

import numpy as np
import pytest
from PIL import Image

from engine.cli import run as run_command
from engine.manifest import read_manifest
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
