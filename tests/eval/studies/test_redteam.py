"""Attacks on a folder of protected photos, through their real entry point, on small parts."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from datamodules.matched_people import MatchedPeople
from engine.cli import run
from engine.manifest import read_manifest
from eval.__main__ import main
from eval.reports.verdicts import headline, judge_cells
from eval.studies.cells import Pace
from models.faces.face_net import FaceNet
from tiny.dataset import PortraitDataset

SMALL = {"steps": 1, "samples": 1, "sample_steps": 1, "prior_weight": 0}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two people's photos, and the first two of each changed by up to five levels."""
    folder = tmp_path_factory.mktemp("photos")
    for number, item in enumerate(PortraitDataset(1_000_000, 2, 3).__getitems__(list(range(6)))):
        levels = (item["image"].permute(1, 2, 0).numpy() * 255).round().astype(np.int16)
        person, name = ("ann", "ben")[number // 3], f"{number % 3}.png"
        for root in ("clean", "protected"):
            (folder / root / person).mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels.astype(np.uint8)).save(folder / "clean" / person / name)
        if number % 3 < 2:
            changed = np.clip(levels + 5 * (-1) ** np.indices(levels.shape).sum(0), 0, 255)
            Image.fromarray(changed.astype(np.uint8)).save(folder / "protected" / person / name)
    return folder


@pytest.fixture(scope="module")
def config(pipelines, photos):
    faces = photos / "faces"
    FaceNet(channels=(4, 4, 4, 4), embedding=8, threshold=0.0).save_pretrained(faces)
    attack = {
        "class_path": "eval.attacks.personalization.TextualInversion",
        "init_args": {"config": SMALL | {"model": pipelines[0], "initializer": "person"}},
    }
    jpeg = {"class_path": "eval.attacks.purification.Jpeg", "init_args": {"quality": 75}}
    settings = {
        "faces": str(faces),
        "size": 64,
        "accelerator": "cpu",
        "attacks": {"ti": attack},
        "purifications": {"none": None, "jpeg75": jpeg},
    }
    path = photos / "redteam.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return str(path)


def command(photos, config, out, *more):
    folders = [str(photos / "protected"), "--clean", str(photos / "clean")]
    return run(main, ["redteam", *folders, "-c", config, "-o", str(out), *more])


def test_every_cell_is_attacked_and_the_page_says_what_is_shown(photos, config, tmp_path, capsys):
    out = tmp_path / "out"
    # The first cell has been measured when the second is asked for: it does not fit.
    assert command(photos, config, out, "--budget-minutes", "0.0001") == 1
    told = capsys.readouterr()
    assert "not run, to stay within the minutes given: ti/jpeg75" in told.err
    assert (out / "report.html").is_file(), "a stopped run leaves its page"
    kept = (out / "cells/ti/none/people/ann/result.json").stat().st_mtime_ns

    assert command(photos, config, out) == 0
    told = capsys.readouterr().out
    assert "Over 2 people, " in told
    assert "ti after jpeg75: ISM " in told
    assert (out / "cells/ti/none/people/ann/result.json").stat().st_mtime_ns == kept
    manifest = read_manifest(out)
    assert manifest["bound"] == {"images": 4, "largest": 5, "median": 5.0, "unchanged": 0}
    assert (manifest["finished"], manifest["not_run"]) == (True, [])
    rows = pq.read_table(out / "results.parquet").to_pylist()
    assert len(rows) == 2 * 2 * 2
    assert {row["arm"] for row in rows} == {"clean", "protected"}
    assert all(row["minutes"] > 0 and row["references"] == 1 for row in rows)
    assert all(len(row["person_sha256"]) == 64 and row["model"] for row in rows)
    assert {row["levels"] for row in rows if row["arm"] == "protected"} == {5.0}
    page = (out / "report.html").read_text()
    assert "the largest change of a value is 5 gray levels of 255" in page
    assert "ti after jpeg75" in page


def test_an_attacker_may_have_photos_unprotected(photos, config, tmp_path, capsys):
    settings = yaml.safe_load(Path(config).read_text()) | {"purifications": {"none": None}}
    alone = tmp_path / "redteam.yaml"
    alone.write_text(yaml.safe_dump(settings))
    out = tmp_path / "out"
    assert command(photos, str(alone), out, "--clean-fraction", "1.5") == 2
    assert "clean_fraction is a share from 0 to 1" in capsys.readouterr().err
    assert command(photos, str(alone), out, "--clean-fraction", "1") == 0
    rows = pq.read_table(out / "results.parquet").to_pylist()
    scores = {(row["person"], row["arm"]): row["ism_all"] for row in rows}
    for person in ("ann", "ben"):
        assert scores[person, "protected"] == scores[person, "clean"], "both learn the clean photos"
    assert {row["levels"] for row in rows if row["arm"] == "protected"} == {5.0}
    assert "the attacker had 100% unprotected instead" in (out / "report.html").read_text()
    assert command(photos, str(alone), out) == 2
    assert "holds results of other settings" in capsys.readouterr().err


def test_a_clean_photo_replaced_under_its_name_is_attacked_itself(photos, config, tmp_path, capsys):
    settings = yaml.safe_load(Path(config).read_text()) | {"purifications": {"none": None}}
    alone = tmp_path / "redteam.yaml"
    alone.write_text(yaml.safe_dump(settings))
    for name in ("clean", "protected"):
        shutil.copytree(photos / name, tmp_path / name)
    assert command(tmp_path, str(alone), tmp_path / "out") == 0
    shutil.copy(tmp_path / "clean/ben/2.png", tmp_path / "clean/ann/0.png")
    assert command(tmp_path, str(alone), tmp_path / "out") == 0
    rows = pq.read_table(tmp_path / "out/results.parquet").to_pylist()
    levels = {(row["person"], row["arm"]): row["levels"] for row in rows}
    assert (levels["ann", "clean"], levels["ben", "protected"]) == (0, 5)
    assert levels["ann", "protected"] > 5, "the protected file is that of the photo before"

    for folder in ("clean", "protected"):
        assert command(tmp_path, str(alone), tmp_path / folder / "out") == 2
        assert "lies inside the input" in capsys.readouterr().err
        assert not (tmp_path / folder / "out").exists()


def test_one_folder_is_one_person_and_leftovers_are_named(photos, tmp_path):
    shutil.copytree(photos / "clean/ann", tmp_path / "clean")
    shutil.copytree(photos / "protected/ann", tmp_path / "protected")
    shutil.copy(tmp_path / "protected/0.png", tmp_path / "protected/stranger.png")
    (tmp_path / "clean/notes.txt").write_text("no image")
    people = MatchedPeople(tmp_path / "protected", tmp_path / "clean", 64)
    assert (len(people), people.single, people.name_of_one) == (1, True, "clean")
    assert [source.name for source in people[0]["sources"]] == ["0", "1"]
    assert len(people[0]["reference"]) == 1
    assert people.leftovers.protected == ["clean/stranger.png"]
    assert people.leftovers.others == ["clean/notes.txt"]


def test_photos_that_are_all_protected_are_halved(photos):
    people = MatchedPeople(photos / "clean", photos / "clean", 64)
    assert [len(person["train"]) for person in map(people.__getitem__, range(2))] == [2, 2]
    assert [len(person["reference"]) for person in map(people.__getitem__, range(2))] == [1, 1]
    with pytest.raises(ValueError, match="ann: 3 clean images, 3 of them protected"):
        MatchedPeople(photos / "clean", photos / "clean", 64, attacked=3)


def test_folders_that_do_not_fit_together_are_told_apart(photos, tmp_path, config, capsys):
    with pytest.raises(FileNotFoundError, match="one has a sub-folder for each person"):
        MatchedPeople(photos / "protected/ann", photos / "clean", 64)
    (tmp_path / "protected/ann").mkdir(parents=True)
    shutil.copy(photos / "clean/ann/0.png", tmp_path / "protected/ann/other.png")
    with pytest.raises(FileNotFoundError, match="no file has the name of one in"):
        MatchedPeople(tmp_path / "protected", photos / "clean", 64)
    shutil.copy(photos / "clean/ann/0.png", tmp_path / "protected/ann/other.jpg")
    with pytest.raises(ValueError, match="two images of one name"):
        MatchedPeople(tmp_path / "protected", photos / "clean", 64)
    assert command(photos, config, tmp_path / "out", "--budget-minutes", "-1") == 2
    assert "budget_minutes must be above 0" in capsys.readouterr().err


def test_a_budget_counts_the_slowest_cell_of_the_same_attack():
    pace = Pace(10.0, {("ti", "none"): 1.0, ("ti", "jpeg"): 2.0, ("db", "none"): 30.0})
    assert pace.expected(("ti", "gridpure")) == 2.0
    assert pace.expected(("lora", "none")) == 30.0
    assert pace.fits(("ti", "gridpure"))
    assert not pace.fits(("lora", "none"))
    assert Pace(1.0).fits(("ti", "none")), "nothing is known of the first"


def cells(effects, people=8):
    """Rows of cells in which a protection changes every person's ISM by about an effect."""
    return [
        {
            "attack": attack,
            "purification": "none",
            "arm": arm,
            "person": f"{person}",
            "ism_all": 0.6 + (arm == "protected") * (effect + spread * (-1) ** person),
            "fdfr": 0.0,
        }
        for attack, (effect, spread) in effects.items()
        for arm in ("clean", "protected")
        for person in range(people)
    ]


def test_a_verdict_needs_an_interval():
    effects = {"ti": (-0.3, 0.05), "lora": (-0.01, 0.01), "db": (-0.1, 0.3), "ip": (0.0, 0.0)}
    rows = cells(effects)
    verdicts = judge_cells(rows, "protected")
    assert [one.verdict for one in verdicts] == ["holds", "fails", "not shown", "not shown"]
    assert headline(verdicts, rows, "protected") == (
        "Over 8 people, the protection survives ti; it does not survive lora; "
        "nothing is shown for db and ip."
    )
    assert verdicts[0].minutes is None


def test_an_effect_that_is_certain_but_small_is_no_protection():
    [verdict] = judge_cells(cells({"ti": (-0.05, 0.02)}), "protected")
    assert verdict.difference.interval[1] < 0, "a certain effect"
    assert verdict.verdict == "not shown"


def test_an_attack_that_learns_nothing_from_clean_photos_shows_nothing():
    rows = cells({"ti": (-0.3, 0.05), "weak": (0.0, 0.01), "uneven": (0.0, 0.01)})
    for row in rows:
        if row["attack"] == "weak":
            row["ism_all"] -= 0.57
        if row["attack"] == "uneven":
            row["ism_all"] -= 0.6 - 0.9 * (row["person"] == "3")
    verdicts = judge_cells(rows, "protected")
    assert [one.verdict for one in verdicts] == ["holds", "weak attack", "weak attack"]
    assert verdicts[1].reach == pytest.approx(0.03)
    assert headline(verdicts, rows, "protected") == (
        "Over 8 people, the protection survives ti; "
        "too weak without protection to judge by: weak and uneven."
    )


def test_one_person_shows_nothing_about_others():
    rows = cells({"ti": (-0.3, 0.0)}, people=1)
    verdicts = judge_cells(rows, "protected")
    assert verdicts[0].verdict == "not shown"
    assert headline(verdicts, rows, "protected") == (
        "One person allows no interval over people, so nothing is shown about others; for this "
        "person ISM went from 0.60 to 0.30 with ti."
    )


def test_without_recognized_faces_the_share_without_a_face_decides():
    rows = cells({"ti": (0.0, 0.0)})
    for row in rows:
        row["ism_all"] = None
        row["fdfr"] = 0.1 + (row["arm"] == "protected") * (0.5 + 0.01 * int(row["person"]))
    assert [one.verdict for one in judge_cells(rows, "protected")] == ["holds"]
