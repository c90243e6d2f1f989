"""Leaderboard of tests, foreign score files and the paper's rows."""

import json
from functools import partial

import pytest

from detectors.__main__ import main
from detectors.leaderboard import leaderboard
from detectors.mpbench import columns
from detectors.scores import Scores
from detectors.summary import summarise
from engine.cli import run as run_command

run = partial(run_command, main)


def score_file(path, right):
    """Write scores of every MPBench set, with so many of ten recognized."""
    rows = ["label,score,column,generator"]
    for name in columns("real") + columns("generated"):
        label = int(name in columns("generated"))
        for number in range(10):
            answer = label if number < right else 1 - label
            rows.append(f"{label},{0.9 if answer else 0.1},{name},{name if label else ''}")
    path.write_text("\n".join(rows) + "\n")
    return path


def test_one_class_has_no_balanced_accuracy_and_none_right_has_zero(tmp_path, capsys):
    (tmp_path / "generated.csv").write_text("label,score\n1,0.9\n1,0.3\n")
    (tmp_path / "wrong.csv").write_text("label,score\n1,0.1\n0,0.9\n1,0.2\n0,0.8\n")
    files = [str(tmp_path / name) for name in ("generated.csv", "wrong.csv")]
    assert run(["leaderboard", *files, "-o", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "generated: no balanced accuracy, real + generated: 0 + 2" in told
    assert "wrong: balanced accuracy 0.0 [" in told
    assert run(["leaderboard", *files, "-o", str(tmp_path / "out"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["entries"]
    known = {row["name"]: row["balanced_accuracy"] for row in rows}
    assert (known["generated"], known["wrong"]) == (None, 0.0)


def test_entries_stand_where_their_balanced_accuracy_puts_them(tmp_path, capsys):
    best, middling = (
        score_file(tmp_path / "best<b>.csv", 10),
        score_file(tmp_path / "middling.csv", 7),
    )
    folder = tmp_path / "tested"
    folder.mkdir()
    (folder / "summary.json").write_text(
        json.dumps(summarise(Scores.read(score_file(tmp_path / "x.csv", 8)), resamples=20))
    )
    assert (
        run(["leaderboard", str(best), str(middling), str(folder), "-o", str(tmp_path / "out")])
        == 0
    )
    told = capsys.readouterr().out
    assert "1. best<b>: balanced accuracy 100.0, mean over MPBench's sets without an inter" in told
    entries = leaderboard([best, middling, folder], tmp_path / "out")
    names = [entry.name for entry in entries]
    assert names[0] == "best<b>"
    assert names[1].startswith("D ConvNeXt-S 0.5")
    assert names.index("tested") < names.index("middling")
    assert [entry.rank for entry in entries] == sorted(
        (entry.rank for entry in entries), reverse=True
    )
    text = (tmp_path / "out" / "leaderboard.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith("| D ConvNeXt-S 0.5"))
    assert line.count("|") == 1 + 1 + 14 + 4
    assert "| 97.7 | 99.9 | 99.9 | 99.2 | 52.8 |" in line
    page = (tmp_path / "out" / "leaderboard.html").read_text()
    assert "best&lt;b&gt;" in page
    assert "best<b>" not in page
    assert page.count('class="ours"') == 9, "three detectors in three tables"
    assert "| oracle TPR at 1 % FPR (95 %) |" in text
    assert "below 300 real images there is a dash" in text
    assert "corrected" in text
    assert "n = 10; lowest of 11" in text
    assert "(floor 0." in text


def test_a_detector_without_mpbench_is_ranked_by_its_own_test(tmp_path):
    (tmp_path / "mine.csv").write_text("label,score\n0,0.1\n0,0.7\n1,0.8\n1,0.9\n")
    entry = next(
        entry
        for entry in leaderboard([tmp_path / "mine.csv"], tmp_path / "out")
        if entry.name == "mine"
    )
    assert entry.rank == 75
    assert "mine" not in (tmp_path / "out" / "leaderboard.md").read_text().split("| ImageNet |")[1]


def test_a_file_with_flipped_labels_is_not_ranked(tmp_path, capsys):
    rows = [
        "label,score",
        *(f"0,{0.9 - 0.001 * n}" for n in range(50)),
        *(f"1,{0.1 + 0.001 * n}" for n in range(50)),
    ]
    (tmp_path / "flipped.csv").write_text("\n".join(rows) + "\n")
    rows = ["label,score", *(f"{n % 2},{0.5 + 0.04 * (n % 2) * (n % 3 - 1)}" for n in range(60))]
    (tmp_path / "poor.csv").write_text("\n".join(rows) + "\n")
    files = [str(tmp_path / f"{name}.csv") for name in ("flipped", "poor")]
    assert run(["leaderboard", *files, "-o", str(tmp_path / "out")]) == 0
    told = capsys.readouterr()
    assert "flipped is not ranked: AUC 0.000 is far below 0.5: its labels seem flipped" in told.err
    assert "flipped:" not in told.out
    (line,) = (line for line in told.out.splitlines() if "poor: balanced accuracy" in line)
    assert " [" in line
    assert line.endswith("], real + generated: 30 + 30")
    text = (tmp_path / "out" / "leaderboard.md").read_text()
    assert "| flipped | - | 50 + 50 | 0.000 |" in text
    assert "flipped is not ranked" in text
    assert "flipped is not ranked" in (tmp_path / "out" / "leaderboard.html").read_text()


@pytest.mark.parametrize(
    "where",
    [
        ("mpbench", "generated"),
        ("worst", "auc"),
        ("ranking",),
        ("uncalibrated",),
        ("intervals", "auc"),
    ],
)
@pytest.mark.parametrize("value", [None, "x", [], float("nan"), 7])
def test_damaged_records_of_others_are_one_line(tmp_path, capsys, where, value):
    record = json.loads(
        json.dumps(summarise(Scores.read(score_file(tmp_path / "x.csv", 8)), resamples=40))
    )
    inner = record
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    (tmp_path / "tested").mkdir()
    (tmp_path / "tested" / "summary.json").write_text(json.dumps(record))
    ended = run(["leaderboard", str(tmp_path / "tested"), "-o", str(tmp_path / "out")])
    if ended:
        told = capsys.readouterr().err
        assert (ended, told.count("\n")) == (2, 1)
        assert "summary.json: damaged, or not of the expected structure" in told
    else:
        assert value is None, "no interval was asked for"
        assert where == ("intervals", "auc")


def test_records_of_version_0_1_are_read_and_small_oracles_are_left_out(tmp_path):
    record = json.loads(json.dumps(summarise(Scores.read(score_file(tmp_path / "x.csv", 8)))))
    record["oracle"]["tpr_at_fpr_1"] = 0.77
    record["worst"] = {"generator": "old", "auc": 0.7, "mean_of_worst_3": 0.7}
    record["intervals"] = {"auc": [0.7, 0.9], "balanced_accuracy": [0.7, 0.9]}
    for name in ("calibration_error_floor", "calibration_error_floor_97"):
        del record["uncalibrated"][name]
    del record["mpbench"]["bounds"]
    (tmp_path / "tested").mkdir()
    (tmp_path / "tested" / "summary.json").write_text(json.dumps(record))
    leaderboard([tmp_path / "tested"], tmp_path / "out")
    text = (tmp_path / "out" / "leaderboard.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith("| tested |"))
    assert "| - | old (0.700) |" in line, "thirty real images say nothing of 1 %"
    assert "0.770" not in text


def test_mistakes_are_one_line(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    score_file(tmp_path / "one.csv", 5)
    (tmp_path / "deep").mkdir()
    score_file(tmp_path / "deep" / "one.csv", 5)
    for results, words in (
        (["none.csv"], "no such file of scores"),
        (["empty"], "no summary.json here"),
        (["bad.csv"], "needs a label"),
        (["one.csv", "deep/one.csv"], "two results are called one"),
    ):
        assert (
            run(
                [
                    "leaderboard",
                    *(str(tmp_path / name) for name in results),
                    "-o",
                    str(tmp_path / "out"),
                ]
            )
            == 2
        )
        told = capsys.readouterr().err
        assert words in told
        assert told.count("\n") == 1
    with pytest.raises(FileNotFoundError):
        leaderboard([tmp_path / "none"], tmp_path / "out")
