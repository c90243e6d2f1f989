"""CSV tables with file names that need not be valid text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.files import read_bytes, write_bytes

FORMULA = re.compile(r"^'*[=+\-@\t\r]")
"""Pattern of text that a spreadsheet would run as a formula."""


def write_table(target: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV file atomically.

    File names that are not valid text keep their bytes. Text that a spreadsheet would run as a
    formula gets an apostrophe in front, as spreadsheets mark text.

    Args:
        target: The file.
        columns: Names of the columns.
        rows: Values of each row, by column name.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, columns)
    table.writeheader()
    for row in rows:
        table.writerow({name: _escape(value) for name, value in row.items()})
    write_bytes(target, text.getvalue().encode("utf-8", "surrogateescape"))


def read_table(file: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV file that this or an earlier version wrote.

    Incomplete rows are skipped.
    """
    text = read_bytes(file).decode("utf-8", "surrogateescape")
    complete_lines = text[: text.rfind("\n") + 1]
    rows = []
    for row in csv.DictReader(io.StringIO(complete_lines, newline="")):
        if None not in row and None not in row.values():
            rows.append({name: _unescape(value) for name, value in row.items()})
    return rows


def rows_of_table(file: Path) -> dict[str, dict[str, Any]]:
    """Read the rows without an error of a job's table, by ``source``.

    Earlier versions wrote unfinished tables to ``NAME.partial``, which is preferred. Empty cells
    are None; cells with numbers are numbers.
    """
    partial = file.with_name(file.name + ".partial")
    existing = [path for path in (partial, file) if path.is_file()]
    rows = read_table(existing[0]) if existing else []
    by_source = {}
    for row in rows:
        if "source" in row and not row.get("error"):
            source = row["source"]
            by_source[source] = _parse_cells(row)
    return by_source


def _parse_cells(row: Mapping[str, str]) -> dict[str, Any]:
    """Parse the cells of a row, without ``source`` and ``error``."""
    return {
        name: _parse_cell(value) for name, value in row.items() if name not in ("source", "error")
    }


def _parse_cell(value: str) -> str | int | float | None:
    """Parse a cell: a number, text, or None if it is empty."""
    if not value:
        return None
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _escape(value: Any) -> Any:
    """Put an apostrophe in front of text that a spreadsheet would run as a formula."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def _unescape(value: str) -> str:
    """Remove the apostrophe that :func:`_escape` adds."""
    return value[1:] if value.startswith("'") and FORMULA.match(value) else value
