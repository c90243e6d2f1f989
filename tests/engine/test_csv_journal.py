"""Tables that grow while a job runs."""

import os

from engine.csv_journal import Journal, journal_file, read_journal, write_table

COLUMNS = ["name", "score"]
ODD = os.fsdecode(b'caf\xe9, "1"\n.png')


def rows(*names):
    return [{"name": name, "score": 0.25} for name in names]


def test_a_journal_is_beside_its_place_until_it_is_whole(tmp_path):
    target = tmp_path / "table.csv"
    assert read_journal(target) == []
    journal = Journal(target, COLUMNS, rows("a"))
    journal.add(rows(ODD, "c"))
    assert not target.exists()
    assert [line["name"] for line in read_journal(target)] == ["a", ODD, "c"]
    journal.finish(rows("c", ODD))
    assert not journal_file(target).exists()
    assert read_journal(target) == [{"name": "c", "score": "0.25"}, {"name": ODD, "score": "0.25"}]


def test_a_line_that_was_cut_short_anywhere_is_left_out(tmp_path):
    target = tmp_path / "table.csv"
    write_table(target, COLUMNS, rows("a", ODD, "last"))
    content = target.read_bytes()
    for kept in range(content.index(b"last"), len(content)):
        journal_file(target).write_bytes(content[:kept])
        assert [line["name"] for line in read_journal(target)] == ["a", ODD], content[:kept]
    journal_file(target).write_bytes(content[:9])
    assert read_journal(target) == []
