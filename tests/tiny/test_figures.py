"""Figures of the cards: units, intervals, and what they look like."""

import numpy as np
import pytest

from engine.statistics import Interval, proportion_interval
from tiny.face_quality import verification_auc
from tiny.figures import Figure, figure_table, mean, mean_between, mean_share, plain, share


def test_a_share_has_its_exact_interval():
    figure = share([True] * 96, "samples")
    assert figure.interval == proportion_interval(96, 96)
    assert figure.units == "96 samples"
    assert str(figure) == "1 (0.962 to 1)"


def test_images_of_one_person_are_one_unit():
    of_people = mean_share([1.0, 1.0, 0.0, 0.0, 1.0, 0.0], "people", "8 images")
    alone = proportion_interval(24, 48)
    assert of_people.value == 0.5
    assert of_people.units == "6 people x 8 images"
    assert of_people.interval.high - of_people.interval.low > alone.high - alone.low


def test_a_mean_of_pairs_leaves_out_pairs_of_one_unit_also_in_resamples():
    values = np.full((12, 12), 0.25, dtype=np.float32)
    values += np.random.default_rng(0).normal(0, 0.01, values.shape).astype(np.float32)
    np.fill_diagonal(values, 1.0)
    figure = mean_between(values, "images")
    assert figure.value == pytest.approx(0.25, abs=0.005)
    assert figure.interval.high < 0.3, "a resample has images twice, whose value is 1"


def test_verification_is_judged_over_people():
    rng = np.random.default_rng(0)
    within = rng.normal(0.8, 0.1, (20, 6)).astype(np.float32)
    between = rng.normal(0.5, 0.1, (20, 20, 16)).astype(np.float32)
    between[np.arange(20), np.arange(20)] = 5.0
    figure = verification_auc(within, between)
    wins = (within.ravel()[:, None] > between[~np.eye(20, dtype=bool)].ravel()).mean()
    assert figure.value == pytest.approx(wins)
    assert figure.interval.low < figure.value < figure.interval.high
    assert figure.units.startswith("20 people")


def test_numbers_near_one_are_not_rounded_to_it():
    assert str(Figure(0.99982)) == "0.99982"
    assert str(Figure(2000, "entries")) == "2000"
    assert str(Figure(0.5, "", Interval(0.0, 0.0004))) == "0.500 (0 to 0.00040)"


def test_a_table_names_groups_and_units():
    figures = {"psnr": mean([30.0, 31.0, 32.0], "images"), "found": {"none": Figure(1.0)}}
    lines = figure_table(figures).splitlines()
    assert lines[0] == "| figure | value (95 %) | of |"
    assert lines[2].startswith("| psnr | 31.000 (28.5")
    assert lines[2].endswith(" | 3 images |")
    assert lines[3] == "| found: none | 1 | - |"
    assert plain(figures)["found"]["none"] == {"value": 1.0, "low": None, "high": None, "of": ""}
