"""Best figures of a table's columns, which pages mark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

Wanted = Literal["lower", "higher"]

FIGURE = re.compile(r"^[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?")


def leading_figure(cell: str) -> float | None:
    """Number that a cell begins with; None without one."""
    found = FIGURE.match(cell.strip())
    return None if found is None else float(found.group())


def best_cells(
    rows: Sequence[Sequence[str]],
    wanted: Mapping[int, Wanted],
    left_out: Sequence[str] = (),
) -> list[list[int]]:
    """Find the best figure of each column, as it is written.

    Equal figures are all best. A column without different figures has no best one.

    Args:
        rows: Cells of each row, its name first.
        wanted: Better direction by column.
        left_out: Names of rows that take no part.

    Returns:
        Columns in which each row has the best figure.
    """
    best: list[list[int]] = [[] for _ in rows]
    for column, direction in wanted.items():
        figures = {}
        for number, row in enumerate(rows):
            value = None if row[0] in left_out else leading_figure(row[column])
            if value is not None:
                figures[number] = value
        if len(set(figures.values())) < 2:
            continue
        top = min(figures.values()) if direction == "lower" else max(figures.values())
        for number, value in figures.items():
            if value == top:
                best[number].append(column)
    return best
