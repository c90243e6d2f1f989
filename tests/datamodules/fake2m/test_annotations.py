"""Label files in several layouts."""

import pytest

from datamodules.fake2m.annotations import Annotations
from datamodules.fake2m.catalogue import LABELS
from datamodules.fake2m.labels import LabelMap


@pytest.mark.parametrize("between", [" ", "\t", ",", ", ", ";"])
@pytest.mark.parametrize("header", ["", "image{}label\n"])
def test_label_files_of_any_layout(between, header):
    rows = "".join(f'"a b/c {number}.png"{between}{number % 2}\n' for number in range(3))
    read = Annotations(header.format(between) + rows, LabelMap(LABELS))
    assert [read.label(f"some/where/a b/c {number}.png") for number in range(3)] == [1, 0, 1]
    assert read.unused() == []


def test_rows_fit_by_the_longest_common_end():
    read = Annotations(
        "x/one/1.png 0\nx/two/1.png 1\ny/three/2.png fake\n",
        LabelMap({"0": 1, "1": 0, "fake": 1}),
    )
    assert read.label("nested/nested/two/1.png") == 0
    assert read.label("one/1.png") == 1
    assert read.label("1.png") is None, "two rows fit as well"
    assert read.label("four/2.png") is None, "another folder"
    assert read.label("2.png") == 1
    with pytest.raises(ValueError, match="row 2 has no label"):
        Annotations("a.png 0\nb.png maybe\n", LabelMap(LABELS))


def test_words_need_no_map_and_numbers_need_a_stated_one():
    read = Annotations("a/1.png nature\na/2.png ai\na/3.png Real\na/4.png FAKE\n", LabelMap(None))
    assert [read.label(f"a/{number}.png") for number in range(1, 5)] == [0, 1, 0, 1]
    with pytest.raises(
        ValueError, match=r"labels\.csv: row 1 is labelled 0, and data sets differ .* --label-map"
    ):
        Annotations("a/1.png 0\na/2.png 1\n", LabelMap(None), "labels.csv")
    stated = Annotations("a/1.png 0\na/2.png 1\n", LabelMap({"0": 0, "1": 1}))
    assert [stated.label("a/1.png"), stated.label("a/2.png")] == [0, 1]


def test_a_label_without_a_path_is_named():
    with pytest.raises(ValueError, match=r"labels\.csv: row 2 has a label and no path"):
        Annotations("a.png,real\n,fake\n", LabelMap(None), "labels.csv")
