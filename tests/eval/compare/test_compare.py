"""Two runs of one kind are paired over what they have in common."""

import json

import numpy as np
import pytest

from engine.cli import run
from engine.journal import Entry, join_journals
from eval.__main__ import main
from eval.compare.runs import compare_runs
from tests.eval.protection_runs import protection_run


def figures(a, b):
    return {one.name: one for one in compare_runs(a, b).figures}


def test_protections_are_paired_over_people_and_settings_that_differ_are_listed(tmp_path, capsys):
    a = protection_run(tmp_path / "a", {"rid": -0.3})
    b = protection_run(tmp_path / "b", {"rid": -0.4, "mist": -0.1}, steps=400)
    page = tmp_path / "page.html"
    assert run(main, ["compare", str(a), str(b), "-o", str(page), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["pairing"] == "Paired over 4 people in both runs."
    only, few = told["warnings"]
    assert only == "Only B has the arms mist."
    assert few.startswith("4 people cannot reach p <= 0.05: it takes at least 6, and 9 after Holm")
    by_name = {figure["name"]: figure for figure in told["figures"]}
    assert by_name["lora, none, rid: ISM"]["b"] == pytest.approx(0.2)
    assert by_name["lora, none, rid: ISM"]["least_p"] == 0.125
    assert {row["name"]: (row["a"], row["b"]) for row in told["settings"]} == {
        "lora/none.attack.steps": ("200", "400"),
        "lora/jpeg75.attack.steps": ("200", "400"),
    }
    assert "Two runs compared: protection" in page.read_text()
    assert run(main, ["compare", str(a), str(b)]) == 0
    told = capsys.readouterr().out
    assert "differs: lora/none.attack.steps: 200 | 400" in told
    assert "lora, none, rid: ISM" in told
    assert "least p" in told
    assert "in 2 of 2 figures with an interval, each by its own 95 % interval, not adjusted" in told


def test_an_equal_cell_has_no_settings_that_differ(tmp_path, capsys):
    """Though one run has further cells."""
    a = protection_run(tmp_path / "a", {"rid": -0.3})
    b = protection_run(tmp_path / "b", {"rid": -0.3}, cells=(("lora", "none"),))
    compared = compare_runs(a, b)
    assert [name for name, _, _ in compared.settings if "lora" in name or "attack" in name] == []
    assert "Only A has the cells lora/jpeg75." in compared.notes


def test_report_says_whose_results_a_folder_holds(tmp_path, capsys):
    matrix = protection_run(tmp_path / "a", {"rid": -0.3})
    assert run(main, ["report", str(matrix)]) == 2
    assert f"{matrix}: holds the results of eval matrix, which" in capsys.readouterr().err


def test_a_page_replaces_no_file(tmp_path, capsys):
    a = protection_run(tmp_path / "a", {"rid": -0.3})
    before = (a / "results.parquet").read_bytes()
    for target in (a / "results.parquet", a):
        assert run(main, ["compare", str(a), str(a), "-o", str(target)]) == 2
        assert f"{target} exists already" in capsys.readouterr().err
    assert (a / "results.parquet").read_bytes() == before


def test_other_people_are_not_paired(tmp_path):
    a = protection_run(tmp_path / "a", {"rid": -0.3})
    b = protection_run(tmp_path / "b", {"rid": -0.4}, photos="others")
    compared = compare_runs(a, b)
    assert compared.pairing.startswith("Not paired: the runs have no person with the same images")
    assert all(one.interval is None and one.n == 0 for one in compared.figures)
    assert compared.headline == "No difference has an interval, so none is shown."
    assert len(compared.figures) == 2 * 2 * 2


def test_people_of_one_run_only_are_counted(tmp_path):
    a = protection_run(tmp_path / "a", {"rid": -0.3})
    b = protection_run(tmp_path / "b", {"rid": -0.35}, people=6)
    compared = compare_runs(a, b)
    words = "Paired over 4 people in both runs. 2 people of one run only are left out."
    assert compared.pairing == words


def scores(file, flipped, names="abcdefghij"):
    lines = ["label,score,source_path"]
    for place, name in enumerate(names):
        right = 0.9 if place % 2 else 0.1
        lines.append(f"{place % 2},{1 - right if name in flipped else right},{name}.png")
    file.write_text("\n".join(lines) + "\n")
    return file


def test_detectors_are_paired_over_images(tmp_path):
    a, b = scores(tmp_path / "a.csv", "ab"), scores(tmp_path / "b.csv", "a")
    found = figures(a, b)
    accuracy = found["accuracy at P = 0.5"]
    assert (accuracy.a, accuracy.b, accuracy.n) == (0.8, 0.9, 10)
    assert accuracy.interval.low < 0 < accuracy.interval.high
    assert accuracy.least_p == 2 / 2**10
    assert accuracy.p == 1.0, "one image alone, found by one of them, decides nothing"
    assert found["AUC"].interval is not None
    others = scores(tmp_path / "others.csv", "", names="klmnopqrst")
    compared = compare_runs(a, others)
    assert compared.pairing.startswith("Not paired: no image is in both tests")
    assert compared.notes == ["A score file has no manifest: its settings are unknown."]
    swapped = scores(tmp_path / "swapped.csv", "", names="bacdefghij")
    with pytest.raises(ValueError, match="another label in the other run"):
        compare_runs(a, swapped)


def reconstructed(file, errors, groups=20, copies=5):
    """Scores of photographs with reconstructions, all of which share their photograph's error."""
    lines = ["label,score,source_path,caption_id"]
    for group in range(groups):
        for place in range(1 + copies):
            label = int(place > 0)
            score = 0.1 + 0.8 * (label != (group in errors)) + 0.001 * group
            caption = f"/{group}.png" if place else ""
            lines.append(f"{label},{score},{group}{f'-{place}' * label}.png,{caption}")
    file.write_text("\n".join(lines) + "\n")
    return file


def test_reconstructions_of_a_photograph_are_no_further_units(tmp_path):
    a = reconstructed(tmp_path / "a.csv", range(6))
    b = reconstructed(tmp_path / "b.csv", range(1, 3))
    compared = compare_runs(a, b)
    assert compared.unit == "group of images with one caption or original"
    assert "120 images in both runs. They are 20 groups" in compared.pairing
    found = {one.name: one for one in compared.figures}
    accuracy = found["accuracy at P = 0.5"]
    assert (accuracy.a, accuracy.b, accuracy.n) == (pytest.approx(0.7), pytest.approx(0.9), 20)
    assert accuracy.p == pytest.approx(0.125, abs=0.01), "four photographs differ, not 24 images"
    assert accuracy.interval.low < 0.01
    assert found["AUC"].n == 20
    assert found["AUC"].interval.high - found["AUC"].interval.low > 0.2
    assert found["real images called real"].n == 20


def retrieval(folder, hits, named=True):
    """A study of two edits in which an arm finds some of four originals."""
    (folder / "passive").mkdir(parents=True)
    lines = ["image_index,attack,attack_param,r@1"]
    for image in range(4):
        for edit, place in (("blur", 0), ("crop", 1)):
            lines.append(f"{10 + image},{edit},0.5,{int((image, place) in hits)}")
    (folder / "passive" / "retr_df.csv").write_text("\n".join(lines) + "\n")
    if named:
        entries = [Entry(f"arms/passive/{name}.png", 1, 1, "0", {}) for name in "abcd"]
        join_journals(folder, entries)
    return folder


def test_copy_detection_is_paired_over_originals(tmp_path):
    a = retrieval(tmp_path / "a", {(0, 0), (1, 0)})
    b = retrieval(tmp_path / "b", {(0, 0), (1, 0), (2, 0), (3, 1)})
    found = figures(a, b)
    assert list(found) == [
        "passive: mean recall at 1",
        "passive: blur 0.5",
        "passive: crop 0.5",
    ]
    assert (found["passive: blur 0.5"].a, found["passive: blur 0.5"].b) == (0.5, 0.75)
    assert found["passive: mean recall at 1"].n == 4
    unnamed = retrieval(tmp_path / "c", {(0, 0)}, named=False)
    assert compare_runs(a, unnamed).pairing.startswith("Not paired: no original")


def test_a_damaged_table_of_look_ups_is_named(tmp_path):
    a, b = (retrieval(tmp_path / name, {(0, 0)}) for name in "ab")
    for text in (
        "",
        "image_index,attack\n1,blur\n",
        "image_index,attack,attack_param,r@1\n1,b,2,x\n",
    ):
        (b / "passive" / "retr_df.csv").write_text(text)
        with pytest.raises(ValueError, match=r"retr_df.csv: damaged, or not a table of look-ups"):
            compare_runs(a, b)


def rag(folder, asked, similarities):
    (folder / "protected").mkdir(parents=True)
    (folder / "decision").mkdir()
    answers = {
        name: {"random_key": name, "trials": [{"retrieved_images": ["x"] * (name in asked)}]}
        for name in "abcd"
    }
    (folder / "protected" / "out.json").write_text(json.dumps(answers))
    rows = {name: {"random_key": name, "similarity": value} for name, value in similarities.items()}
    (folder / "decision" / "clip_similarities.json").write_text(json.dumps(rows))
    return folder


def test_retrieval_attacks_are_paired_over_sentinels(tmp_path):
    values = dict(zip("abcd", np.linspace(0.5, 0.8, 4), strict=True))
    a = rag(tmp_path / "a", "ab", values)
    lower = {name: value - 0.1 - 0.01 * (name == "a") for name, value in values.items()}
    b = rag(tmp_path / "b", "abc", lower)
    found = figures(a, b)
    asked = found["protected: keys that triggered a search"]
    assert (asked.a, asked.b, asked.n) == (0.5, 0.75, 4)
    similarity = found["similarity to the own source (clip)"]
    assert similarity.difference == pytest.approx(-0.1025)
    assert similarity.interval.high < 0
    assert "B differs from A" in compare_runs(a, b).headline


def test_runs_of_two_kinds_and_folders_without_results_are_refused(tmp_path, capsys):
    a = protection_run(tmp_path / "a", {"rid": -0.3})
    b = scores(tmp_path / "b.csv", "a")
    assert run(main, ["compare", str(a), str(b)]) == 2
    assert "of the kind protection" in capsys.readouterr().err
    assert run(main, ["compare", str(a), str(tmp_path / "none")]) == 2
    assert "none: no results here" in capsys.readouterr().err
