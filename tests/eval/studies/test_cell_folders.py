"""Folders of a matrix: whom they belong to, and whose protected images they hold."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from engine.cli import run
from eval.__main__ import main
from eval.arms import Arm
from models.faces.face_net import FaceNet

SMALL = {"steps": 1, "samples": 1, "sample_steps": 1, "prior_weight": 0}
JPEG = {"class_path": "eval.attacks.purification.Jpeg", "init_args": {"quality": 75}}


def draw(file, seed):
    """Save an image of noise."""
    file.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(values).save(file)


@pytest.fixture
def photos(tmp_path):
    """Two people with two photos each, the first of which is attacked."""
    for number in range(4):
        draw(tmp_path / "photos" / ("ann", "ben")[number // 2] / f"{number % 2}.png", number)
    return tmp_path / "photos"


@pytest.fixture
def matrix(pipelines, photos, tmp_path):
    """A function that runs a small matrix of the photos, and returns its exit code."""
    FaceNet(channels=(4, 4, 4, 4), embedding=8, threshold=0.0).save_pretrained(tmp_path / "faces")
    attack = {
        "class_path": "eval.attacks.personalization.TextualInversion",
        "init_args": {"config": SMALL | {"model": pipelines[0], "initializer": "person"}},
    }
    settings = {
        "people": {
            "class_path": "datamodules.identities.IdentityFolders",
            "init_args": {"root": str(photos), "size": 64, "train_pictures": 1},
        },
        "faces": str(tmp_path / "faces"),
        "arms": {
            "clean": {"class_path": "eval.arms.Clean"},
            "noise": {"class_path": "eval.arms.Noise"},
        },
        "attacks": {"ti": attack},
        "purifications": {"none": None},
        "accelerator": "cpu",
    }

    def command(out, **changed):
        path = tmp_path / "matrix.yaml"
        path.write_text(yaml.safe_dump(settings | changed))
        return run(main, ["matrix", "-c", str(path), "-o", str(out)])

    return command


def make_old(out):
    """Turn a folder into one of a version that claimed no folder and kept no hashes."""
    manifest = json.loads((out / "manifest.json").read_text())
    del manifest["settings"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    for record in out.glob("protected/*/*/person.sha256"):
        record.unlink()


def forbid_protecting(patch):
    """Let every protection fail."""

    def protect(*_):
        raise AssertionError

    patch.setattr(Arm, "protect", protect)


def levels(out):
    """Largest change of a value by purification, arm and person."""
    rows = pq.read_table(out / "results.parquet").to_pylist()
    return {(row["purification"], row["arm"], row["person"]): row["levels"] for row in rows}


def test_a_folder_of_something_else_is_refused_and_left_as_it_is(matrix, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.md").write_text("mine")
    assert matrix(out) == 2
    assert "holds files that are not an earlier run's" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["report.md"]
    assert (out / "report.md").read_text() == "mine"
    study = json.dumps({"command": "eval personalize", "finished": True, "settings": {}})
    (out / "manifest.json").write_text(study)
    assert matrix(out) == 2
    assert "holds the results of eval personalize" in capsys.readouterr().err
    assert (out / "manifest.json").read_text() == study


def test_other_settings_are_refused_before_the_record_changes(matrix, tmp_path, capsys):
    out = tmp_path / "out"
    assert matrix(out) == 0
    record = (out / "manifest.json").read_text()
    assert matrix(out, seed=1) == 2
    assert "seed differs" in capsys.readouterr().err
    assert (out / "manifest.json").read_text() == record


def test_a_photo_replaced_under_its_name_is_protected_anew(matrix, photos, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert matrix(out) == 0
    kept = (out / "protected/noise/ben/protected_00.png").stat().st_mtime_ns
    draw(photos / "ann" / "0.png", 9)
    assert matrix(out) == 0
    assert levels(out)["none", "clean", "ann"] == 0
    assert levels(out)["none", "noise", "ann"] == 6
    assert (out / "protected/noise/ben/protected_00.png").stat().st_mtime_ns == kept
    # A run that ends while it saves them leaves no images that a later one takes for a person's.
    draw(photos / "ann" / "0.png", 10)
    with monkeypatch.context() as patch:
        patch.setattr("eval.studies.protection_job.save_all", lambda *_: 1 / 0)
        assert matrix(out) == 2
    draw(photos / "ann" / "0.png", 9)
    shutil.rmtree(out / "cells")
    assert matrix(out) == 0
    assert levels(out)["none", "clean", "ann"] == 0


def test_a_matrix_of_an_earlier_version_goes_on_with_its_protected_images(
    matrix, photos, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "out"
    assert matrix(out) == 0
    make_old(out)
    with monkeypatch.context() as patch:
        forbid_protecting(patch)
        assert matrix(out, purifications={"none": None, "jpeg": JPEG}) == 0
    assert len(levels(out)) == 2 * 2 * 2
    assert json.loads((out / "manifest.json").read_text())["settings"]["seed"] == 0
    # Its cells name the photos that the images were made of; of others there are none.
    make_old(out)
    draw(photos / "ann" / "0.png", 9)
    assert matrix(out, purifications={"none": None, "jpeg": JPEG}) == 0
    assert {levels(out)[name, "clean", "ann"] for name in ("none", "jpeg")} == {0}
    make_old(out)
    assert matrix(out, seed=1) == 2
    assert "seed differs" in capsys.readouterr().err


def test_a_matrix_of_an_earlier_version_that_was_stopped_in_its_first_cell_goes_on(
    matrix, tmp_path
):
    out = tmp_path / "out"
    assert matrix(out) == 0
    make_old(out)
    for name in ("manifest.json", "results.parquet", "report.md", "report.html"):
        (out / name).unlink()
    kept = (out / "cells/ti/none/people/ann/result.json").stat().st_mtime_ns
    assert matrix(out) == 0
    assert (out / "cells/ti/none/people/ann/result.json").stat().st_mtime_ns == kept
    assert (out / "report.html").is_file()


def test_results_never_lie_among_the_photos(matrix, photos, tmp_path, capsys):
    assert matrix(photos / "out") == 2
    assert "lies inside the input" in capsys.readouterr().err
    folder = {"class_path": "eval.arms.Folder", "init_args": {"path": str(tmp_path / "theirs")}}
    shutil.copytree(photos, tmp_path / "theirs")
    chain = {"class_path": "eval.arms.Chain", "init_args": {"arms": [folder], "budget": 6}}
    for arm in (folder, chain):
        assert matrix(tmp_path / "theirs" / "out", arms={"theirs": arm}) == 2
        assert "lies inside the input" in capsys.readouterr().err
    assert matrix(tmp_path) == 2
    assert "lies inside the output folder" in capsys.readouterr().err
    assert not list(tmp_path.rglob("out"))
