"""Notes of reports on few people, few images and few comparisons."""

import json

import numpy as np
import pytest

from engine.records import to_json
from engine.statistics import paired_difference
from eval.human.statistics import Crossing, confusion, over_people
from eval.reports.comparisons import compare, reach
from eval.reports.protection_table import set_notes, summarise
from eval.reports.retrieval_figures import gain_interval


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
