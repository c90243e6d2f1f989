"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Format a table without a final line feed.

    Pipes, line breaks and tags in cells are escaped.
    """
    return "\n".join(_line(cells) for cells in [head, ["---"] * len(head), *rows])


def _line(cells: Sequence[object]) -> str:
    """Format one row of a table."""
    return f"| {' | '.join(map(_escape, cells))} |"


def _escape(cell: object) -> str:
    """Escape a cell and put it on one line."""
    line = " ".join(str(cell).split())
    return line.replace("|", "\\|").replace("<", "&lt;")
