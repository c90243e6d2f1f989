"""Protections of several runs in one table, and tables whose best figures are marked."""

import json

import pytest

from engine.cli import run
from engine.pages.best import best_cells
from eval.__main__ import main
from tests.eval.protection_runs import protection_run


def test_protections_of_equal_runs_stand_in_one_table(tmp_path, capsys):
    protection_run(tmp_path / "first", {"mist": -0.3})
    protection_run(tmp_path / "second", {"mist": -0.1, "rid": -0.4})
    arguments = [str(tmp_path / "first"), str(tmp_path / "second")]
    assert run(main, ["leaderboard", *arguments, "-o", str(tmp_path / "out"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in told["rows"]] == ["rid", "mist", "mist (second)", "clean"]
    cell = told["rows"][0]["cells"]["lora after jpeg75"]
    assert cell["ISM"] == "0.20"
    assert cell["ISM - clean (95 %)"].startswith("-0.40 (")
    assert cell["minutes a person"] == "1.50"
    assert "warnings" not in told
    page = (tmp_path / "out" / "leaderboard.html").read_text()
    assert page.count("<h2>Group") == 1
    assert page.count('<td class="best">0.20</td>') == 2, "one in each cell"
    assert "Group 1: 4 people, 12 reference pictures each, seed 0 (first, second)" in page
    assert "| rid | 0.20 |" in (tmp_path / "out" / "leaderboard.md").read_text()


@pytest.mark.parametrize("other", [{"seed": 1}, {"photos": "others"}, {"people": 3}])
def test_runs_with_other_people_or_seeds_are_not_compared(tmp_path, capsys, other):
    protection_run(tmp_path / "first", {"mist": -0.3})
    protection_run(tmp_path / "second", {"rid": -0.4}, **other)
    arguments = [str(tmp_path / "first"), str(tmp_path / "second")]
    assert run(main, ["leaderboard", *arguments, "-o", str(tmp_path / "out")]) == 0
    told = capsys.readouterr()
    assert "are not compared with each other: first | second" in told.err
    assert "mist: lora: ISM 0.30, ISM - clean (95 %) -0.30 (-0.3" in told.out
    assert (tmp_path / "out" / "leaderboard.html").read_text().count("<h2>Group") == 2


def test_one_name_with_other_settings_has_columns_of_its_own(tmp_path):
    protection_run(tmp_path / "first", {"mist": -0.3})
    protection_run(tmp_path / "second", {"rid": -0.4}, steps=400)
    arguments = [str(tmp_path / "first"), str(tmp_path / "second")]
    assert run(main, ["leaderboard", *arguments, "-o", str(tmp_path / "out")]) == 0
    assert "lora, other settings 1" in (tmp_path / "out" / "leaderboard.md").read_text()


def test_results_that_are_missing_or_damaged_are_named(tmp_path, capsys):
    assert run(main, ["leaderboard", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "no finished persons here" in capsys.readouterr().err
    (tmp_path / "results.parquet").write_bytes(b"PAR1 and nothing")
    assert run(main, ["leaderboard", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "results.parquet: damaged, or not results of persons" in capsys.readouterr().err


def test_the_best_figure_is_the_best_as_it_is_written():
    rows = [["a", "0.20 (n = 1)", "3"], ["b", "-0.20", "3"], ["c", "-", "3"], ["d", "-0.20", "3"]]
    assert best_cells(rows, {1: "lower", 2: "higher"}) == [[], [1], [], [1]]
    assert best_cells(rows, {1: "higher"}, left_out=["a"]) == [[], [], [], []], "all are equal"
