"""The study through its real entry point, on small untrained models."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from engine.cli import run
from engine.manifest import fingerprint, write_manifest
from eval.__main__ import main
from eval.attacks.purification import Jpeg
from eval.studies.results import load_all, read_results, save_all
from eval.studies.rows import open_results
from images.io import open_photo, save_png
from images.photo import Photo
from models.faces.face_net import FaceNet
from tiny.dataset import PortraitPeople

CLEAN = {"class_path": "eval.arms.Clean"}


def rid(folder):
    return {"class_path": "eval.arms.Generator", "init_args": {"weights": str(folder)}}


def pgd(models):
    objective = {"class_path": "rid.pairs.objectives.Denoising", "init_args": {"models": models}}
    settings = {"objective": objective, "pgd": {"steps": 2, "step_size": 3.0}}
    return {"class_path": "eval.arms.Ascent", "init_args": settings}


@pytest.fixture(scope="module")
def settings(pipelines, generator_folder, tmp_path_factory):
    faces = tmp_path_factory.mktemp("faces")
    FaceNet(channels=(4, 4, 4, 4), embedding=8, threshold=0.0).save_pretrained(faces)
    return {
        "people": {
            "class_path": "tiny.dataset.PortraitPeople",
            "init_args": {
                "first": 1_000_000,
                "identities": 2,
                "train_pictures": 2,
                "reference_pictures": 2,
            },
        },
        "arms": {
            "clean": CLEAN,
            "noise": {"class_path": "eval.arms.Noise"},
            "rid": rid(generator_folder),
            "pgd": pgd(pipelines),
        },
        "faces": str(faces),
        "accelerator": "cpu",
        "attack": {
            "class_path": "eval.attacks.personalization.LoraTextualInversion",
            "init_args": {
                "config": {
                    "model": pipelines[0],
                    "initializer": "person",
                    "steps": 2,
                    "samples": 2,
                    "class_images": 2,
                    "class_steps": 2,
                    "sample_steps": 2,
                }
            },
        },
    }


def personalize(settings, folder, out, *more):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(settings))
    return run(main, ["personalize", "-c", str(path), "-o", str(out), *more])


@pytest.fixture(scope="module")
def finished(settings, tmp_path_factory):
    """A finished study, which tests copy."""
    folder = tmp_path_factory.mktemp("finished")
    assert personalize(settings, folder, folder / "out") == 0
    return folder / "out"


def test_a_study_writes_pictures_numbers_and_one_page(settings, tmp_path, capsys):
    out = tmp_path / "out"
    assert personalize(settings, tmp_path, out) == 0
    told = capsys.readouterr().out
    assert "rid - clean" in told
    assert "rid - noise" in told
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2 * (1 + 4 * 3)
    assert "://" not in page, "the page needs nothing from outside"
    for arm in ("clean", "noise", "rid", "pgd"):
        assert arm in page
        assert (out / "people" / "1000001" / arm / "generated_01.png").is_file()
    result = json.loads((out / "people" / "1000000" / "result.json").read_text())
    assert result["measured"]["clean"]["levels"] == 0
    assert result["measured"]["pgd"]["levels"] == 6
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["counts"], manifest["finished"]) == (
        {"done": 2, "failed": 0, "skipped": 0},
        True,
    )
    assert {arm: entry["box"] for arm, entry in manifest["access"].items()} == {
        "clean": "-",
        "noise": "-",
        "rid": "unknown",
        "pgd": "white",
    }
    assert re.search(r"arm +ISM.* box\n", told)
    for words in ("pgd: white box: the attacked model", "rid: unknown whether the attacked model"):
        assert words in told
        assert words in page
    assert manifest["budgets"] == {"clean": 0, "noise": 6, "rid": 6, "pgd": 6}
    assert "with at most 6 gray levels of change" in page
    assert manifest["settings"]["attack"]["steps"] == 2


def test_a_model_that_no_protection_has_seen_is_a_black_box(
    settings, pipelines, generator_folder, tmp_path, capsys
):
    generator = tmp_path / "generator"
    shutil.copytree(generator_folder, generator)
    others = [fingerprint(name, Path(name)) for name in pipelines[1:]]
    write_manifest(generator, made_against={"models": others, "complete": True})
    unseen = {"arms": {"rid": rid(generator), "pgd": pgd(pipelines[1:])}}
    assert personalize(settings | unseen, tmp_path, tmp_path / "out") == 0
    told = capsys.readouterr().out
    for arm in ("rid", "pgd"):
        assert (
            f"{arm}: black box: the attacked model {pipelines[0]} is not one that "
            "the protection was made against" in told
        )
    assert "shares its vae with one of them" in told


def test_a_stopped_study_goes_on_and_comes_to_the_same(settings, finished, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(finished, again)
    lost = again / "people" / "1000001" / "result.json"
    lost.unlink()
    kept = (again / "people" / "1000000" / "result.json").stat().st_mtime_ns
    assert personalize(settings, tmp_path, again) == 0
    assert (again / "people" / "1000000" / "result.json").stat().st_mtime_ns == kept
    for text in ("NaN", "Infinity"):
        assert text not in lost.read_text(), "JSON has no such numbers"
    unbroken, resumed = (read_results(folder)[1] for folder in (finished, again))
    assert unbroken["measured"]["clean"]["psnr"] == float("inf")
    for arm, measured in resumed["measured"].items():
        assert measured == pytest.approx(unbroken["measured"][arm], rel=1e-6, nan_ok=True)


@pytest.fixture
def on_disk(settings, tmp_path):
    """Settings of a study of two people, ann and ben, in folders, and their folder."""
    folder = tmp_path / "people"
    for name, person in zip(("ann", "ben"), PortraitPeople(1_000_000, 2, 2, 2), strict=True):
        save_all(torch.cat([person["train"], person["reference"]]), folder / name / "photo")
    people = {"root": str(folder), "size": 64, "train_pictures": 2}
    return settings | {
        "people": {
            "class_path": "datamodules.identities.IdentityFolders",
            "init_args": people,
        },
        "arms": {name: settings["arms"][name] for name in ("clean", "noise")},
    }, folder


def test_people_who_are_no_longer_given_are_in_no_statistic(on_disk, tmp_path, capsys):
    settings, folder = on_disk
    out = tmp_path / "out"
    assert personalize(settings, tmp_path, out) == 0
    (folder / "ben").rename(folder / "cleo")
    assert personalize(settings, tmp_path, out) == 0
    told = capsys.readouterr()
    assert "1 result belongs to an input that is no longer given: ben" in told.err
    assert "over 3 people" not in told.out
    assert "<h2>ben</h2>" not in (out / "report.html").read_text()
    assert (out / "people" / "ben" / "result.json").is_file(), "files are kept"
    assert [result["name"] for result in read_results(out)] == ["ann", "cleo"]
    assert {row["person"] for row in open_results(out).rows} == {"ann", "cleo"}
    assert len(load_all(out, "noise/generated")) == 4
    capsys.readouterr()
    assert run(main, ["report", str(out)]) == 0
    assert "over 2 people: ISM" in capsys.readouterr().out


def test_a_size_below_one_is_refused(on_disk, tmp_path, capsys):
    settings, _ = on_disk
    more = ("--people.init_args.size", "0")
    assert personalize(settings, tmp_path, tmp_path / "out", *more) == 2
    assert "the size of an image's square is at least 1 pixel, got 0" in capsys.readouterr().err


def test_one_person_under_two_names_is_refused(on_disk, tmp_path, capsys):
    settings, folder = on_disk
    shutil.copytree(folder / "ann", folder / "ann copy")
    assert personalize(settings, tmp_path, tmp_path / "out") == 2
    assert "ann and ann copy have the same image" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_finished_study_has_nothing_to_do_and_gives_its_figures(on_disk, tmp_path, capsys):
    settings, _ = on_disk
    out = tmp_path / "out"
    assert personalize(settings, tmp_path, out) == 0
    assert personalize(settings, tmp_path, out) == 0
    assert f"finished already, nothing to do: 2 people in {out}" in capsys.readouterr().out
    assert personalize(settings, tmp_path, out, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    measured = [result["measured"]["noise"]["brisque"] for result in read_results(out)]
    assert told["table"]["rows"]["noise"]["brisque"] == pytest.approx(sum(measured) / 2)
    assert told["table"]["people"] == told["done"] == 2


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_detector_without_embeddings_yields_fdfr_and_no_ism(settings, tmp_path, capsys):
    detector = tmp_path / "detector"
    FaceNet(channels=(4, 4, 4, 4), embedding=0, threshold=0.0).save_pretrained(detector)
    arms = {name: settings["arms"][name] for name in ("clean", "noise")}
    few = settings | {"arms": arms, "faces": str(detector)}
    out = tmp_path / "out"
    for _ in range(2):  # the second run reads what the first stored
        assert personalize(few, tmp_path, out) == 0
        told = capsys.readouterr().out
        assert "ISM is not measured, because the face detector computes no embeddings" in told
        assert "noise - clean: FDFR +0.000" in told
    page = (out / "report.html").read_text()
    assert "ISM is not measured, because" in page
    assert "Above zero the person comes through less" in page
    assert json.loads((out / "people" / "1000000" / "result.json").read_text())["real_ism"] is None
    assert run(main, ["report", str(out)]) == 0
    assert run(main, ["leaderboard", str(out), "-o", str(tmp_path / "board")]) == 0
    assert "| noise | - | - | 0.00" in (tmp_path / "board" / "leaderboard.md").read_text()


def test_a_folder_of_another_study_is_refused(settings, finished, tmp_path, capsys):
    assert personalize(settings | {"seed": 5}, tmp_path, finished) == 2
    assert "holds results of other settings" in capsys.readouterr().err


def test_results_never_lie_among_the_photos(settings, tmp_path, capsys):
    for name in ("ann/0.png", "ann/1.png"):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        save_png(Photo(np.zeros((64, 64, 3), np.uint8)), file)
    people = {
        "class_path": "datamodules.identities.IdentityFolders",
        "init_args": {"root": str(tmp_path / "photos"), "size": 64, "train_pictures": 1},
    }
    out = tmp_path / "photos" / "out"
    assert personalize(settings | {"people": people}, tmp_path, out) == 2
    assert "lies inside the input" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.slow
def test_clean_pictures_extra_metrics_and_a_purification_are_in_the_study(
    settings, generator_folder, tmp_path
):
    jpeg = {"class_path": "eval.attacks.purification.Jpeg", "init_args": {"quality": 60}}
    more = {
        "clean_fraction": 0.5,
        "extra_metrics": ["ser_fiq"],
        "purification": jpeg,
        "arms": {"rid": rid(generator_folder)},
    }
    assert personalize(settings | more, tmp_path, tmp_path / "out") == 0
    person = tmp_path / "out" / "people" / "1000000"
    assert 0 < json.loads((person / "result.json").read_text())["measured"]["rid"]["ser_fiq"] < 1
    assert "SER-FIQ" in (tmp_path / "out" / "report.html").read_text()
    first, last = (person / "rid" / f"purified_{index:02d}.png" for index in (0, 1))
    jpeg60, none = Jpeg(60), torch.Generator()
    original, protected = (
        open_photo(person / "original_00.png"),
        open_photo(person / "rid" / "protected_01.png"),
    )
    assert torch.equal(open_photo(first).tensor(), jpeg60(original.tensor()[None], none)[0])
    assert torch.equal(open_photo(last).tensor(), jpeg60(protected.tensor()[None], none)[0])
    assert (
        json.loads((tmp_path / "out" / "manifest.json").read_text())["settings"]["purification"][
            "quality"
        ]
        == 60
    )


def test_the_report_can_be_written_again(finished, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (out / "report.html").unlink()
    assert run(main, ["report", str(out), "--pictures", "1"]) == 0
    assert (out / "report.html").is_file()
    assert run(main, ["report", str(tmp_path / "nothing")]) == 2
    assert "no finished persons" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": 3}, "colour"),
        ({"arms": {"mist": {"class_path": "eval.arms.Mist"}}}, "has no attribute 'Mist'"),
        ({"arms": {}}, "arms is empty"),
        ({"arms": {"../x": CLEAN}}, "the arm '../x' gives a folder its name"),
        (
            {"arms": {"fawkes": {"class_path": "eval.arms.Folder", "init_args": {"path": "no"}}}},
            "no: no such folder",
        ),
        ({"surrogates": ["sd"]}, "surrogates is no setting of its own any more: give --arms"),
        ({"clean_fraction": 1.5}, "clean_fraction is a share"),
        ({"extra_metrics": ["beauty"]}, "unknown metric beauty"),
        ({"arms": {"rid": rid("nobody/nothing")}}, "hf download nobody/nothing"),
        ({"arms": {"pgd": pgd(["nobody/nothing"])}}, "hf download nobody/nothing"),
        (
            {
                "people": {
                    "class_path": "tiny.dataset.PortraitDataset",
                    "init_args": {"first": 0, "identities": 1, "pictures": 1},
                }
            },
            "persons",
        ),
    ],
)
def test_mistakes_are_one_line(settings, tmp_path, capsys, change, words):
    assert personalize(settings | change, tmp_path, tmp_path / "out") == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert words in lines[0]


@pytest.mark.slow
def test_two_processes_share_the_people_out_and_come_to_the_same(settings, tmp_path):
    people = settings["people"] | {"init_args": settings["people"]["init_args"] | {"identities": 3}}
    arms = {name: settings["arms"][name] for name in ("clean", "noise")}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(settings | {"people": people, "arms": arms}))
    assert run(main, ["personalize", "-c", str(path), "-o", str(tmp_path / "1")]) == 0
    words = ["personalize", "-c", str(path), "-o", str(tmp_path / "2"), "--devices", "2"]
    ended = subprocess.run(
        [sys.executable, "-m", "eval", *words],
        cwd=Path(__file__).parents[3],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    for name in ("1000000", "1000001", "1000002"):
        one, two = (
            json.loads((tmp_path / devices / "people" / name / "result.json").read_text())
            for devices in ("1", "2")
        )
        assert one["measured"]["noise"]["psnr"] == pytest.approx(two["measured"]["noise"]["psnr"])
        assert one["real_ism"] == pytest.approx(two["real_ism"], abs=1e-5)


def test_learned_weights_are_kept_where_diffusers_finds_them(settings, tmp_path, capsys):
    people = settings["people"] | {"init_args": settings["people"]["init_args"] | {"identities": 1}}
    few = settings | {"people": people, "arms": {"clean": CLEAN}, "keep_weights": True}
    assert personalize(few, tmp_path, tmp_path / "out") == 0
    folder = tmp_path / "out" / "people" / "1000000" / "clean" / "weights"
    assert sorted(file.name for file in folder.iterdir()) == [
        "learned_embeds.safetensors",
        "pytorch_lora_weights.safetensors",
    ]
    assert list(load_file(folder / "learned_embeds.safetensors")) == ["<new1>"]
    config = settings["attack"]["init_args"]["config"]
    config = {key: value for key, value in config.items() if key != "initializer"}
    whole = {
        "class_path": "eval.attacks.personalization.DreamBooth",
        "init_args": {"config": config},
    }
    assert personalize(few | {"attack": whole}, tmp_path, tmp_path / "other") == 2
    assert "keep_weights: DreamBooth learns no LoRA" in capsys.readouterr().err
