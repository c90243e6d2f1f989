"""The matrix through its real entry point, on small untrained parts."""

import shutil

import pyarrow.parquet as pq
import pytest
import yaml

from engine.cli import run
from eval.__main__ import main
from eval.reports.comparisons import identity_score
from eval.reports.matrix import change, figure, markdown
from eval.studies.cells import Grid, plan, run_cells
from models.faces.face_net import FaceNet

SMALL = {"steps": 2, "samples": 2, "class_images": 2, "sample_steps": 2, "prior_weight": 0}


@pytest.fixture
def config(pipelines, generator_folder, tmp_path):
    FaceNet(channels=(4, 4, 4, 4), embedding=8, threshold=0.0).save_pretrained(tmp_path / "faces")

    def attack(name, **more):
        return {
            "class_path": f"eval.attacks.personalization.{name}",
            "init_args": {"config": SMALL | {"model": pipelines[0]} | more},
        }

    settings = {
        "people": {
            "class_path": "tiny.dataset.PortraitPeople",
            "init_args": {
                "first": 1_000_000,
                "identities": 2,
                "train_pictures": 2,
                "reference_pictures": 2,
            },
        },
        "faces": str(tmp_path / "faces"),
        "arms": {
            "clean": {"class_path": "eval.arms.Clean"},
            "rid": {
                "class_path": "eval.arms.Generator",
                "init_args": {"weights": str(generator_folder)},
            },
        },
        "attacks": {
            "lora_ti": attack("LoraTextualInversion", initializer="person"),
            "ti": attack("TextualInversion", initializer="person"),
        },
        "purifications": {
            "none": None,
            "jpeg75": {
                "class_path": "eval.attacks.purification.Jpeg",
                "init_args": {"quality": 75},
            },
        },
        "grid": [
            {"attacks": ["lora_ti", "ti"], "purifications": ["none"]},
            {"attacks": ["lora_ti"], "purifications": ["none", "jpeg75"]},
        ],
        "accelerator": "cpu",
    }
    path = tmp_path / "matrix.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.mark.slow
def test_two_grids_end_in_one_table_and_a_stopped_matrix_goes_on(
    config, tmp_path, capsys, monkeypatch
):
    arguments = ["matrix", "-c", str(config), "-o", str(tmp_path / "out")]
    assert run(main, arguments) == 0
    assert "Purification: jpeg75" in capsys.readouterr().out
    rows = pq.read_table(tmp_path / "out" / "results.parquet").to_pylist()
    assert len(rows) == 3 * 2 * 2
    assert {(row["attack"], row["purification"]) for row in rows} == {
        ("lora_ti", "none"),
        ("ti", "none"),
        ("lora_ti", "jpeg75"),
    }
    assert {"ism_all", "fdfr", "brisque", "psnr", "levels", "real_ism", "person"} <= set(rows[0])
    assert {(row["arm"], row["box"]) for row in rows} == {("clean", "-"), ("rid", "unknown")}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Purification: jpeg75" in page
    assert "Box: white if the protection was made against the attacked model" in page
    assert "<svg" in page
    assert page.count("<img") == 2 * 3 * 2
    cell = tmp_path / "out" / "cells" / "lora_ti" / "jpeg75" / "people" / "1000000"
    assert len(list((cell / "rid").glob("purified_*.png"))) == 2
    assert "Not run yet" not in page
    kept = (cell / "result.json").stat().st_mtime_ns

    def stopped(*given, **settings):
        yield next(run_cells(*given, **settings))
        raise KeyboardInterrupt

    shutil.rmtree(tmp_path / "out" / "cells" / "lora_ti" / "none")
    with monkeypatch.context() as patch:
        patch.setattr("eval.studies.matrix.run_cells", stopped)
        assert run(main, arguments) == 130
    assert len(pq.read_table(tmp_path / "out" / "results.parquet")) == 2 * 2
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Not run yet: ti/none, lora_ti/jpeg75." in page
    (tmp_path / "out" / "cells" / "ti" / "none" / "people" / "1000001" / "result.json").unlink()
    assert run(main, arguments) == 0
    assert (cell / "result.json").stat().st_mtime_ns == kept
    again = pq.read_table(tmp_path / "out" / "results.parquet").to_pylist()
    assert [row["ism_all"] for row in again] == [row["ism_all"] for row in rows]


def test_a_grid_that_names_what_is_not_there():
    with pytest.raises(
        ValueError, match="a grid names the purification bleach; there are none, jpeg"
    ):
        plan({"ti": 1}, {"none": None, "jpeg": 1}, [Grid(("ti",), ("bleach",))])
    with pytest.raises(ValueError, match="at least one attack"):
        plan({}, {"none": None}, [])


@pytest.mark.parametrize("name", ["../../escape", "scale 3/4", "a|b", ".hidden", "", "line\n"])
def test_names_that_no_folder_can_have(name):
    with pytest.raises(ValueError, match=r"the purification '.*\n?' gives a folder its name"):
        plan({"ti": 1}, {"none": None, name: 1}, [])
    with pytest.raises(ValueError, match=r"the attack '.*\n?' gives a folder its name"):
        plan({name: 1}, {"none": None}, [])


def test_without_grids_everything_meets_everything():
    assert plan({"a": 1, "b": 1}, {"x": None, "y": None}, []) == [
        ("a", "x"),
        ("a", "y"),
        ("b", "x"),
        ("b", "y"),
    ]


def test_figures_carry_their_interval_and_missing_ones_are_dashes():
    assert figure([0.5, 0.7]) == "0.60"
    assert figure([0.0, 0.0, 0.0], share=True) == "0.00 (0.00 to 0.71)"
    assert figure([0.25], share=True) == "0.25"
    assert figure([float("nan"), None, 30.0]) == "30.0 (n = 1)"
    assert figure([float("nan")]) == "-"


def test_differences_are_paired_over_people_and_carry_their_interval():
    values = {"clean": {"a": 0.8, "b": 0.9, "c": 0.7}, "rid": {"a": 0.5, "b": 0.4, "c": 0.6}}
    assert change(values, "rid") == "-0.30 (-0.80 to +0.20)"
    assert change(values, "clean") == "-"
    values["rid"]["b"] = float("nan")
    assert change(values, "rid") == "-0.20 (-1.00 to +1.00, n = 2)"
    assert change({"clean": {"a": 0.8}, "rid": {"a": 0.5}}, "rid") == "-0.30 (no interval)"


def test_other_people_drawn_rank_no_better_than_nobody_drawn():
    assert identity_score([-0.09, 0.4, None])[:2].tolist() == [0.0, 0.4]


def test_the_matrix_says_how_many_comparisons_and_what_so_many_people_cannot_show():
    rows = [
        {"attack": attack, "purification": "none", "arm": arm, "person": f"{person}", "box": "-",
         "ism_all": 0.8 - 0.3 * (arm == "rid") - 0.01 * person, "fdfr": 0.0, "brisque": 20.0}
        for attack in ("db", "ti") for arm in ("clean", "noise", "rid") for person in range(6)
    ]  # fmt: skip
    text = markdown(rows)
    assert "6 comparisons of ISM in all; the least p that 6 people can give is 0.031" in text
    assert "After Holm over all of them, 0 have p <= 0.05" in text
    assert "6 people can reach p <= 0.05 in one comparison only: it takes 8 after Holm" in text


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_detector_without_embeddings_yields_fdfr_and_no_ism(config, tmp_path):
    detector = tmp_path / "detector"
    FaceNet(channels=(4, 4, 4, 4), embedding=0, threshold=0.0).save_pretrained(detector)
    grid = [{"attacks": ["ti"], "purifications": ["none", "jpeg75"]}]
    settings = yaml.safe_load(config.read_text()) | {"faces": str(detector), "grid": grid}
    config.write_text(yaml.safe_dump(settings))
    assert run(main, ["matrix", "-c", str(config), "-o", str(tmp_path / "out")]) == 0
    rows = pq.read_table(tmp_path / "out" / "results.parquet").to_pylist()
    assert {row["fdfr"] for row in rows} == {0.0}
    words = "ISM is not measured, because the face detector computes no embeddings"
    assert words in (tmp_path / "out" / "report.html").read_text()
    assert words in (tmp_path / "out" / "report.md").read_text()


def test_the_table_has_methods_as_rows_and_metrics_per_attack_as_columns():
    rows = [
        {
            "attack": attack,
            "purification": "none",
            "arm": arm,
            "person": "p",
            "ism_all": 0.5,
            "fdfr": 0.0,
            "brisque": 20.0,
            "box": "-",
        }
        for attack in ("db", "ti")
        for arm in ("clean", "rid")
    ]
    text = markdown(rows).splitlines()
    heads = ("ISM", "ISM - clean (95 %)", "FDFR (95 %)", "BRISQUE", "BRISQUE - clean (95 %)", "box")
    assert text[2] == f"| arm | {' | '.join(f'{a} {h}' for a in ('db', 'ti') for h in heads)} |"
    assert text[4] == "| clean" + 2 * " | 0.50 | - | 0.00 | 20.0 | - | -" + " |"
    unrecorded = markdown(
        [{key: value for key, value in row.items() if key != "box"} for row in rows]
    ).splitlines()
    assert unrecorded[4:6] == [
        text[4],
        text[5].replace("(no interval) | - |", "(no interval) | unknown |"),
    ]
