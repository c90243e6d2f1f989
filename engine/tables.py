"""CSV tables, with file names of any kind in them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.files import read_bytes, write_bytes

FORMULA = re.compile(r"^'*[=+\-@\t\r]")
"""Text that a spreadsheet would run as a formula."""


def write_table(target: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV file, whole or not at all.

    Names that are not valid text are kept byte by byte. Text that a spreadsheet would run as a formula
    gets an apostrophe in front, as spreadsheets themselves mark text.
    """
    text = io.StringIO()
    lines = csv.DictWriter(text, columns)
    lines.writeheader()
    lines.writerows({name: _plain(value) for name, value in row.items()} for row in rows)
    write_bytes(target, text.getvalue().encode("utf-8", "surrogateescape"))


def read_table(file: Path) -> list[dict[str, str]]:
    """Rows of a CSV file that :func:`write_table` wrote, or an earlier version; one that was cut short is left out."""
    text = read_bytes(file).decode("utf-8", "surrogateescape")
    rows = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    whole = [row for row in rows if None not in row and None not in row.values()]
    return [{name: _raw(value) for name, value in row.items()} for row in whole]


def rows_of_table(file: Path) -> dict[str, dict[str, Any]]:
    """Rows without an error of a job's table, or of ``NAME.partial`` as earlier versions kept it, by their ``source``.

    Empty cells are None; numbers are numbers.
    """
    place = next(
        (path for path in (file.with_name(file.name + ".partial"), file) if path.is_file()), None
    )
    rows = [] if place is None else read_table(place)
    return {
        row["source"]: {
            name: _number(value) for name, value in row.items() if name not in ("source", "error")
        }
        for row in rows
        if "source" in row and not row.get("error")
    }


def _number(value: str) -> str | int | float | None:
    """A cell as a number, if it is one; None if it is empty."""
    if not value:
        return None
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _plain(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def _raw(value: str) -> str:
    return value[1:] if value.startswith("'") and FORMULA.match(value) else value
