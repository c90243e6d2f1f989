"""Charts of pages: places on the scale, whatever the values."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.pages.charts import (
    IntervalChart,
    Mark,
    curve_points,
    density_points,
    histogram,
)


def test_marks_lie_where_they_belong():
    marks = [
        Mark("blur", "one", 0.5, (0.25, 1.0)),
        Mark("blur", "two", 0.1),
        Mark("crop", "one", 0),
    ]
    chart = IntervalChart("", marks, 0.0, 1.0)
    assert chart.series == ["one", "two"]
    assert chart.rows == {
        "blur": [(0, 25.0, 50.0, 100.0), (1, 10.0, 10.0, 10.0)],
        "crop": [(0, 0.0, 0.0, 0.0)],
    }


def test_what_was_not_measured_is_not_drawn():
    chart = IntervalChart("", [Mark("blur", "one", float("nan"))], 0.0, 1.0)
    assert chart.rows == {"blur": []}


def test_the_ends_of_a_curve_are_drawn():
    x = np.linspace(0, 1, 5000)
    points = curve_points(x, x**2).split()
    assert points[0] == "0.00,100.00"
    assert points[-1] == "100.00,0.00"
    assert len(points) == 200


@given(st.dictionaries(st.sampled_from("abc"), st.lists(st.floats(0, 1), max_size=30), min_size=1))
def test_a_histogram_has_every_value_once(values):
    bars = histogram(values, bins=7)
    heights = [sum(height for _, _, height in pieces) for pieces in bars]
    total = sum(len(of) for of in values.values())
    if total:
        assert abs(max(heights) - 100) < 0.05
        highest = 100 * total / sum(heights)
        assert abs(highest - round(highest)) < 0.01 * total, "whole images"
    else:
        assert heights == [0] * 7


def test_densities_of_unequal_classes_compare():
    drawn = density_points({"few": [0.1, 0.9], "many": [0.1] * 50 + [0.9] * 50}, 0.0, 1.0, bins=2)
    assert drawn["few"] == drawn["many"] == "0.00,0.00 50.00,0.00 50.00,0.00 100.00,0.00"
