"""The demo's section on copies, through its real entry point, beside a study that is there."""

import json

import numpy as np
import pytest

from engine.cli import run
from engine.manifest import write_manifest
from eval.__main__ import main as evaluation
from images.io import save_png
from images.photo import Photo
from tiny.__main__ import main


@pytest.fixture
def study(tmp_path):
    """A finished study of one person with one arm."""
    person = tmp_path / "people" / "one"
    for name in ("original", "clean/protected", "clean/generated"):
        save_png(Photo(np.full((64, 64, 3), 90, np.uint8)), person / f"{name}_00.png")
    measured = {"ism_all": 0.5, "fdfr": 0.0, "psnr": 40.0}
    (person / "result.json").write_text(
        json.dumps({"name": "one", "measured": {"clean": measured}, "real_ism": 0.9})
    )
    write_manifest(
        tmp_path, command="eval personalize", finished=True, settings={}, budget_levels=6.0
    )
    return tmp_path


def test_the_page_gains_a_section(study, capsys):
    command = [
        "demo",
        "-o",
        str(study),
        "--references=100",
        "--originals=5",
        "--factory=IVF4,PQ8x4",
        "--resamples=20",
    ]
    assert run(main, command) == 0
    page = (study / "report.html").read_text()
    assert "Does the person come through?" in page
    assert "are edited copies found again?" in page
    assert page.count("its change, ten times amplified") == 4
    summary = json.loads((study / "indexing" / "retrieval" / "summary.json").read_text())
    for arm in ("unchanged", "activated"):
        assert f"{100 * summary['arms'][arm]['mean']['recall_at_1']:.1f}" in page
    assert run(main, command) == 0  # started again, it goes on
    assert (study / "indexing" / "index" / "names.txt").read_text().count("\n") == 105


def test_without_a_study_there_is_no_page(tmp_path, capsys):
    assert run(main, ["demo", "-o", str(tmp_path)]) == 2
    assert "no finished persons here" in capsys.readouterr().err
    assert not (tmp_path / "indexing").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"measured": {"clean": []}}, "damaged"),
        ({"measured": {}}, "other arms or metrics"),
        ({"name": "../two"}, "has another folder"),
        ({"real_ism": "much"}, "damaged"),
    ],
)
def test_a_damaged_result_is_named(study, change, words, capsys):
    file = study / "people" / "one" / "result.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert run(evaluation, ["report", str(study)]) == 2
    told = capsys.readouterr().err
    assert str(file) in told
    assert words in told


def test_lost_images_of_a_person_are_named(study, capsys):
    (study / "people" / "one" / "clean" / "generated_00.png").unlink()
    assert run(evaluation, ["report", str(study)]) == 2
    assert f"{study / 'people' / 'one' / 'clean'}: no generated_00.png" in capsys.readouterr().err
