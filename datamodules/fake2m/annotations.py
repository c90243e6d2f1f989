"""Label files in several layouts, joined to images by path."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Generic, TypeVar

from datamodules.fake2m.labels import SAY_IT, LabelMap

Value = TypeVar("Value")


class Annotations:
    """Labels of images, by path.

    A row is a path and a label, after the last space, tab, comma or semicolon. A first row without
    a known label is a header.

    An image takes the label of the row that shares the longest end of its path, including its
    folder. Leading folders may differ.

    Args:
        text: Content of the label file.
        labels: Meaning of the file's labels.
        name: Name of the file in error messages.

    Raises:
        ValueError: If a row has no known label or no path, or there are no rows.
    """

    def __init__(self, text: str, labels: LabelMap, name: str = "metadata") -> None:
        self.name = name
        self.labels = labels
        self.rows: PathTable[int] = PathTable()
        self.used: set[tuple[str, ...]] = set()
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                self._add_row(number, line)
        if not self.rows:
            msg = f"{name}: no rows with a path and a label"
            raise ValueError(msg)

    def _add_row(self, number: int, line: str) -> None:
        """Parse a row, numbered from 1; skip a header.

        Raises:
            ValueError: If it has no known label or no path.
        """
        path, value = split_row(line)
        label = self.labels.meaning(value)
        if label is None:
            if self.labels.lacks(value):
                msg = f"{self.name}: row {number} is labelled {value}, {SAY_IT}"
                raise ValueError(msg)
            if number == 1:
                return
            known = ", ".join(self.labels.known)
            msg = f"{self.name}: row {number} has no label of {known}: {line.strip()[:80]}"
            raise ValueError(msg)
        if not path.strip():
            msg = f"{self.name}: row {number} has a label and no path"
            raise ValueError(msg)
        self.rows.add(path, label)

    def label(self, path: str) -> int | None:
        """Return an image's label; None unless exactly one row fits best."""
        row = self.rows.find(path)
        if row is None:
            return None
        self.used.add(row[0])
        return row[1]

    def unused(self) -> list[str]:
        """List the rows that :meth:`label` has not returned."""
        return ["/".join(row) for row in self.rows.paths() if row not in self.used]


class PathTable(Generic[Value]):
    """Values by path; leading folders may differ.

    A path matches the row that shares its longest end.
    """

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[tuple[str, ...], Value]]] = {}

    def __bool__(self) -> bool:
        return bool(self.rows)

    def add(self, path: str, value: Value) -> None:
        """Add a row."""
        parts = PurePosixPath(path.replace("\\", "/")).parts
        self.rows.setdefault(parts[-1], []).append((parts, value))

    def find(self, path: str) -> tuple[tuple[str, ...], Value] | None:
        """Find the row that shares the longest end of a path.

        The shared end must include the folder.

        Returns:
            The row's path and value; None if there is no such row, or several.
        """
        parts = PurePosixPath(path).parts
        rows = self.rows.get(parts[-1], [])
        lengths = [_shared_end(parts, row) for row, _ in rows]
        best = [index for index, length in enumerate(lengths) if length == max(lengths)]
        if len(best) != 1:
            return None
        row, value = rows[best[0]]
        # the same file name in another folder is no match
        if lengths[best[0]] < min(2, len(parts), len(row)):
            return None
        return row, value

    def paths(self) -> list[tuple[str, ...]]:
        """List the paths of all rows, as parts."""
        return [row for rows in self.rows.values() for row, _ in rows]


def split_row(line: str) -> tuple[str, str]:
    """Split a row into path and value.

    The value follows the last space, tab, comma or semicolon. A row of one field gives two empty
    strings.
    """
    last_separator = r"[\s,;]+(?=[^\s,;]*$)"
    fields = [field.strip('"') for field in re.split(last_separator, line.strip(), maxsplit=1)]
    return (fields[0], fields[1]) if len(fields) == 2 else ("", "")


def _shared_end(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """Count the parts that two paths share at their ends."""
    count = 0
    for left, right in zip(reversed(a), reversed(b), strict=False):
        if left != right:
            break
        count += 1
    return count
