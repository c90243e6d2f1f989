"""Tables of what a job did, as CSV, also while it runs."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.files import write_bytes


def write_table(target: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV file, whole or not at all; names that are no text are kept byte by byte."""
    text = io.StringIO()
    lines = csv.DictWriter(text, columns)
    lines.writeheader()
    lines.writerows(rows)
    write_bytes(target, text.getvalue().encode("utf-8", "surrogateescape"))


class Journal:
    """A table that grows beside its place while a job runs, as ``NAME.partial``.

    Args:
        target: The table's place.
        columns: Its columns.
        earlier: Lines of a job that was stopped and goes on.
    """

    def __init__(self, target: Path, columns: Sequence[str], earlier: Iterable[Mapping[str, Any]] = ()) -> None:
        self.target, self.columns = target, columns
        write_table(journal_file(target), columns, earlier)

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append lines."""
        with journal_file(self.target).open("a", newline="", encoding="utf-8", errors="surrogateescape") as stream:
            csv.DictWriter(stream, self.columns).writerows(rows)

    def finish(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Put the whole table in its place, with these lines."""
        write_table(journal_file(self.target), self.columns, rows)
        os.replace(journal_file(self.target), self.target)


def read_journal(target: Path) -> list[dict[str, str]]:
    """The lines of a table, or of its journal while the job is not done; none if there is neither.

    A last line that was cut short is left out.
    """
    file = next((path for path in (journal_file(target), target) if path.is_file()), None)
    if file is None:
        return []
    text = file.read_bytes().decode("utf-8", "surrogateescape")
    lines = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    return [line for line in lines if None not in line and None not in line.values()]


def journal_file(target: Path) -> Path:
    """Where a table is while its job runs."""
    return target.with_name(target.name + ".partial")
