"""Notes of reports on few people, few images and few comparisons."""

import json

import numpy as np
import pytest

from engine.records import to_json
from engine.statistics import paired_difference
from eval.human.figures import adjust
from eval.human.statistics import Crossing, confusion, over_people
from eval.reports.comparisons import compare, reach
from eval.reports.protection_table import set_notes, summarise
from eval.reports.retrieval_figures import gain_interval
from eval.studies.rag_robustness import with_adjusted_p
from eval.studies.remover import summary
from tests.eval import every_page


def results(people, fdfr=0.0):
    """Results of a study in which RID lowers everybody's ISM."""
    rng = np.random.default_rng(0)
    persons = []
    for number in range(people):
        measured = {}
        for arm, loss in (("clean", 0.01), ("noise", 0.01), ("rid", 0.3)):
            ism_all = 0.8 - loss * rng.uniform(0.8, 1.2)
            measured[arm] = {"ism_all": ism_all, "ism": 0.8, "fdfr": fdfr}
        person = {"name": f"{number}", "measured": measured, "real_ism": 0.97, "references": 12}
        persons.append(person)
    return persons


def test_few_people_are_told_what_they_cannot_show():
    assert reach(3, 1).startswith("3 people cannot reach p <= 0.05: it takes at least 6")
    assert "in one comparison only: it takes 8" in reach(6, 4)
    assert reach(8, 4) == reach(3, 0) == ""
    assert reach(1, 4).startswith("1 person cannot")


def test_a_table_says_people_intervals_least_p_and_holms():
    table = summarise(results(6), {}, {})
    text = table.text()
    assert "6 people, 12 reference pictures each" in text
    assert "clean: 95 % over 6 people: ISM 0.7" in text
    assert "FDFR 0.000 to 0.459" in text, "nobody lost a face, of six people"
    assert "p = 0.0312 (least possible 0.0312), after Holm 0.09" in text
    assert "it takes 7 after Holm over 3 comparisons" in text


def test_people_below_zero_count_as_zero_and_are_told():
    """The mean of faces only has them as they are, so it can be lower."""
    persons = results(6)
    for person in persons[:2]:
        person["measured"]["rid"] |= {"ism_all": -0.2, "ism": -0.2}
    table = summarise(persons, {}, {})
    assert table.rows["rid"]["ism_all"] == pytest.approx(
        np.mean([0, 0, *(person["measured"]["rid"]["ism_all"] for person in persons[2:])])
    )
    assert table.rows["rid"]["ism"] == pytest.approx((4 * 0.8 - 2 * 0.2) / 6)
    note = "rid: ISM, no face = 0 is below 0 for 2 of 6 people, and counts as 0 there"
    assert table.partial == [note]
    assert note in table.text()


def test_one_person_has_no_interval_and_no_nan():
    table = summarise(results(1), {}, {})
    assert "no intervals: they need at least 2 people" in table.text()
    assert table.intervals["clean"] == {"ism_all": None, "fdfr": None}
    assert over_people([0.7])["low"] is None
    assert json.loads(to_json(over_people([0.7])))["high"] is None
    assert all(one.difference.interval is None for one in table.comparisons)


def test_a_person_without_a_value_is_left_out_and_counted():
    values = {"clean": np.array([0.8, 0.9, 0.7]), "rid": np.array([0.5, np.nan, 0.4])}
    (comparison,) = compare(values)
    assert comparison.difference.n == 2
    assert comparison.difference.mean == pytest.approx(-0.3)


def test_fid_and_kid_of_few_images_are_warned_of_on_the_page():
    assert set_notes({"fid", "kid"}, 36) == [
        "FID over 36 images is biased below 2048 and has no interval: compare KID",
        "KID is one value over 36 images of all people together, without an interval; "
        "below 100 all its subsets are the same",
    ]
    assert set_notes(set(), 36) == []
    assert set_notes({"fid"}, 4096) == []
    sets = {arm: {"fid": 3.0} for arm in ("clean", "noise", "rid")}
    table = summarise(results(2), sets, {}, images=24)
    assert "FID over 24 images" in table.text()
    undefined = json.loads(to_json({arm: {"fid": np.nan} for arm in sets}))
    without = summarise(results(2), undefined, {}, images=24)
    assert table.text().splitlines()[1].split()[-2] == "3.000"
    assert without.text().splitlines()[1].split()[-2] == "-", "null in sets.json"


def test_a_detectors_verdict_on_an_image_counts_once():
    truth = [True, False] * 5
    verdicts = [True, True] + [True, False] * 4
    once = confusion(truth, verdicts)["accuracy"]
    people = np.repeat(np.arange(20), 10)
    images = np.tile(np.arange(10), 20)
    crossed = confusion(truth * 20, verdicts * 20, Crossing(people, images))["accuracy"]
    assert (once["of"], crossed["of"], crossed["images"]) == (10, 200, 10)
    assert crossed["high"] - crossed["low"] > 0.3, "twenty people add no images"


def test_gains_that_nobody_saw_have_a_width():
    low, high = gain_interval(np.zeros(200))
    assert -low == high == pytest.approx(0.0183, abs=1e-4)
    assert gain_interval(np.zeros(1)) is None


def test_equal_differences_have_a_mean_and_no_interval():
    difference = paired_difference(np.full(6, 0.3), np.full(6, 0.1))
    assert (difference.mean, difference.interval) == (pytest.approx(0.2), None)


def test_a_study_names_its_columns_without_an_interval_and_the_tests_of_its_edits(tmp_path):
    page = every_page.personalization(tmp_path).read_text()
    assert "Without an interval: ISM, faces only; BRISQUE; PSNR dB; SSIM; max levels." in page
    assert "after Holm over 4 comparisons" in page
    assert "<td>0.50 (0.25 to 0.95)</td>" in page
    assert "<td>0.012</td>" in page
    assert "bootstrap" not in page


def test_a_decision_shows_the_least_p_and_the_intervals_of_its_rates(tmp_path):
    page = every_page.rag(tmp_path).read_text()
    assert "<td>0.0004</td><td>0.00019</td>" in page.replace("\n", "")
    assert "0.950 (0.810 to 0.970)" in page
    assert "2 systems" in page


def test_pages_of_protections_say_how_many_reference_pictures_an_ism_has(tmp_path):
    for page in (every_page.matrix, every_page.redteam, every_page.protections):
        folder = tmp_path / page.__name__
        folder.mkdir()
        assert ", 12 reference pictures each" in page(folder).read_text()


def test_p_of_groups_and_of_thieves_stand_after_holm():
    parts = [{"p": 0.01}, {"p": None}, {"p": 0.04}]
    assert adjust(parts, "p") == 2
    assert [part["p_holm"] for part in parts] == [pytest.approx(0.02), None, pytest.approx(0.04)]
    rows = with_adjusted_p([{"edit": "none", "p": 0.02, "keys": 7}, {"edit": "deleted"}])
    assert rows[0] == {"edit": "none", "p": 0.02, "p_holm": 0.02, "comparisons": 1, "keys": 7}
    assert rows[1] == {"edit": "deleted"}


def test_a_remover_says_over_how_many_images():
    words = summary({"before": 3.0, "after": 1.25}, 7)
    assert words.startswith("7 held-out images differ from the clean ones by 3.00 gray levels")
