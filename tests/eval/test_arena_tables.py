"""Tables of an arena, from a matrix with made-up figures."""

import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.arena import main

SCORES = {
    ("lora_a", "none", "models/a"): {"clean": 0.6, "rid": 0.2, "noise": 0.59},
    ("lora_a", "half", "models/a"): {"clean": 0.5, "rid": 0.42, "noise": 0.5},
    ("lora_b", "none", "models/b"): {"clean": 0.4, "rid": 0.4, "noise": 0.4},
}


@pytest.fixture
def matrix(tmp_path):
    """A folder of two attacked models and three arms over four people."""
    rows = []
    for (attack, purification, model), by_arm in SCORES.items():
        for arm, score in by_arm.items():
            for person in range(4):
                spread = 0.06 * (person - 1.5) * (arm == "rid") * (purification == "half")
                rows.append(
                    {
                        "attack": attack,
                        "purification": purification,
                        "model": model,
                        "arm": arm,
                        "person": f"{person}",
                        "person_sha256": f"{person}" * 8,
                        "ism_all": score + spread + 0.001 * person * (arm != "clean"),
                        "fdfr": 0.25 * (arm == "rid"),
                        "real_ism": 0.9,
                        "minutes": 0.5,
                    }
                )
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "results.parquet")
    return tmp_path


def printed(capsys, monkeypatch, *paths):
    monkeypatch.setattr(sys, "argv", ["arena", *map(str, paths)])
    main()
    return capsys.readouterr().out


def test_each_model_has_an_overview_and_four_figures_a_cell(matrix, capsys, monkeypatch):
    text = printed(capsys, monkeypatch, matrix)
    assert "less than 0.05. Not shown: neither." in text
    assert "4 people." in text
    of_a, of_b = text.split("## a\n")[1].split("## b\n")
    assert "| clean (ISM) | 0.60 | 0.50 |" in of_a
    assert "| rid | -0.40 holds | -0.08 |" in of_a
    assert "| noise | -0.01 fails | +0.00 fails |" in of_a
    survives = (
        "* rid: Over 4 people, the protection survives lora_a; nothing is shown for lora_a after"
    )
    assert survives in of_a
    figures = of_a.split("### lora_a\n")[1].split("###")[0]
    row = next(line for line in figures.splitlines() if line.startswith("| rid |"))
    ism, difference, verdict, fdfr, minutes = row.strip("| ").split(" | ")[1:]
    assert (ism, verdict, minutes) == ("0.20", "holds", "0.50")
    assert difference.startswith("-0.40 (-0.40 to -0.40)")
    assert fdfr.startswith("0.25 (")
    assert "| rid | +0.00 fails |" in of_b
    assert "lora_a" not in of_b


def test_a_matrix_without_clean_photos_is_refused(tmp_path, capsys, monkeypatch):
    row = {"attack": "a", "purification": "none", "arm": "rid", "person": "1", "ism_all": 0.1}
    rows = [row | {"fdfr": 0.0, "real_ism": 0.9}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "results.parquet")
    with pytest.raises(SystemExit):
        printed(capsys, monkeypatch, tmp_path)
    assert "no arm clean" in capsys.readouterr().err


def test_results_of_several_runs_are_joined(matrix, tmp_path, capsys, monkeypatch):
    rows = pq.read_table(matrix / "results.parquet").to_pylist()
    files = []
    for model in ("models/b", "models/a"):
        files.append(tmp_path / f"{model[-1]}.parquet")
        of_model = [row for row in rows if row["model"] == model]
        pq.write_table(pa.Table.from_pylist(of_model), files[-1])
    joined = printed(capsys, monkeypatch, *files)
    alone = printed(capsys, monkeypatch, matrix)
    assert sorted(joined.splitlines()) == sorted(alone.splitlines())

    others = [row | {"person_sha256": "another"} for row in rows if row["model"] == "models/a"]
    pq.write_table(pa.Table.from_pylist(others), files[1])
    with pytest.raises(SystemExit):
        printed(capsys, monkeypatch, *files)
    assert "different people" in capsys.readouterr().err
