"""Tables keep every name, run nothing in a spreadsheet, and lose no row."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tables import read_table, rows_of_table, write_table


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r"])
def test_text_that_a_spreadsheet_would_run_is_marked_as_text(begins, tmp_path):
    file = tmp_path / "t.csv"
    name = f"{begins}cmd|' /C calc'!A0.png"
    write_table(file, ["source", "psnr"], [{"source": name, "psnr": -1.5}])
    with file.open(newline="") as stream:
        cell, number = list(csv.reader(stream))[1]
    assert cell == f"'{name}"
    assert number == "-1.5", "a number is no formula"
    assert read_table(file)[0]["source"] == name


NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
    st.binary(min_size=1).map(
        lambda name: name.replace(b"\0", b"x").decode("utf-8", "surrogateescape")
    ),
)


@given(st.lists(NAMES, min_size=1, unique=True))
def test_any_name_comes_back(tmp_path_factory, names):
    file = tmp_path_factory.mktemp("tables") / "t.csv"
    write_table(file, ["source"], [{"source": name} for name in names])
    assert [row["source"] for row in read_table(file)] == names


def test_names_that_are_no_text_are_kept_byte_by_byte(tmp_path):
    name = b"\xff\xfe.png".decode("utf-8", "surrogateescape")
    write_table(tmp_path / "t.csv", ["source"], [{"source": name}])
    assert b"\xff\xfe.png" in (tmp_path / "t.csv").read_bytes()
    assert read_table(tmp_path / "t.csv")[0]["source"] == name


def test_a_row_that_was_cut_short_is_left_out(tmp_path):
    file = tmp_path / "t.csv"
    write_table(
        file,
        ["source", "psnr"],
        [{"source": "a.png", "psnr": 40.0}, {"source": "b.png", "psnr": 41.25}],
    )
    file.write_bytes(file.read_bytes()[:-3])
    assert rows_of_table(file) == {"a.png": {"psnr": 40.0}}
