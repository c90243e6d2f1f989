"""indexing search."""

import pytest

from tests.indexing.commands import indexing, search, table


def test_descriptors_are_searched_exactly_without_an_index(references, extractor, tmp_path):
    indexing(
        "extract", references, "-o", tmp_path / "f", "--extractor.name", extractor, "--workers=0"
    )
    indexing("build", tmp_path / "f", "-o", tmp_path / "flat", "--factory=Flat")
    for place in ("f", "flat"):
        found = (references / "0007.png", tmp_path / f"{place}.csv", tmp_path / place, extractor)
        assert search(*found, "--k=5") == 0
    exact, flat = table(tmp_path / "f.csv"), table(tmp_path / "flat.csv")
    assert [row["match"] for row in exact] == [row["match"] for row in flat]
    assert [float(row["distance"]) for row in exact] == pytest.approx(
        [float(row["distance"]) for row in flat], abs=1e-5
    )


def test_a_table_is_not_written_over_unasked(own_index, originals, extractor, tmp_path, capsys):
    (tmp_path / "m.csv").write_text("mine")
    found = (originals, tmp_path / "m.csv", own_index, extractor)
    assert search(*found) == 2
    assert "m.csv exists already: name another file, or add --overwrite" in capsys.readouterr().err
    assert (tmp_path / "m.csv").read_text() == "mine"
    assert search(*found, "--overwrite") == 0
    assert len(table(tmp_path / "m.csv")) == 60
    (tmp_path / "new.html").write_text("mine")
    assert search(originals, tmp_path / "new.csv", own_index, extractor, "--html") == 2
    assert not (tmp_path / "new.csv").exists()


def test_empty_places_and_wrong_parameters(own_index, originals, extractor, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for verb in (
        ("extract", tmp_path / "empty", "-o", tmp_path / "f", "--extractor.name", extractor),
        ("build", tmp_path / "empty", "-o", tmp_path / "i"),
        (
            "search",
            originals,
            "-o",
            tmp_path / "m.csv",
            "--index",
            own_index,
            "--extractor.name",
            extractor,
            "--parameters",
            "probes=3",
        ),
        ("extract", originals, "-o", tmp_path / "f", "--extractor.name", "nowhere/at all"),
        ("extract", originals, "-o", tmp_path / "f", "--extractor.name", "timm:nonesuch"),
    ):
        assert indexing(*verb) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")
