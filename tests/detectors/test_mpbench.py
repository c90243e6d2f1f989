"""MPBench's table, recomputed from the paper's rows."""

import pytest

from datamodules.fake2m.catalogue import columns as scored_sets
from detectors.mpbench import Row, columns, paper_rows, printed_averages


def cut_off(value):
    """Round to one digit, as printed in the paper."""
    return int(value * 10 + 1e-6) / 10


@pytest.mark.parametrize("name", list(paper_rows()))
def test_averages_are_the_printed_ones_to_the_digit(name):
    row = paper_rows()[name]
    assert (
        cut_off(row.real_average),
        cut_off(row.generated_average),
        cut_off(row.total),
    ) == printed_averages(name)


def test_the_best_total_and_what_the_balanced_average_says_instead():
    rows = paper_rows()
    best = max(rows, key=lambda name: rows[name].total)
    assert best == "D ConvNeXt-S 0.5"
    assert rows[best].balanced == pytest.approx(88.9, abs=0.1)
    assert rows["A CLIP linear"].total > rows["D ConvNeXt-S 0.1"].total
    assert rows["A CLIP linear"].balanced < rows["D ConvNeXt-S 0.1"].balanced - 9, (
        "a detector that cries wolf wins the 11 to 3"
    )


def test_columns_are_the_data_sets():
    assert columns("generated") == scored_sets()
    assert len(columns("real") + columns("generated")) == 14


def test_what_was_not_scored_has_no_average():
    row = Row({"ImageNet": 90.0}, {"Midjourney": None, "IF": 80.0})
    assert row.real_average == 90
    assert row.generated_average is None
    assert row.total is None
    assert row.balanced is None
