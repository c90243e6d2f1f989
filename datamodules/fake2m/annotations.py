"""Label files as they are found: paths and labels in any of several layouts, and paths that need not begin where the pictures' do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Generic, TypeVar

Value = TypeVar("Value")

REAL_WORDS = ("real", "photo", "photograph", "nature", "natural", "authentic", "human")
GENERATED_WORDS = ("generated", "fake", "ai", "synthetic", "ai-generated", "ai_generated")
WORDS = dict.fromkeys(REAL_WORDS, 0) | dict.fromkeys(GENERATED_WORDS, 1)
"""Labels that say by themselves what they mean: 0 real, 1 generated. Numbers do not: data sets differ."""


class Annotations:
    """The labels of pictures, by path.

    A row is a path and, after the last space, tab, comma or semicolon, a label. A first row without a known label is a header.
    A picture's row is the one that shares the longest end of its path, with the folder it is in; what stands before does not matter.

    Args:
        text: The label file.
        labels: What the labels in the file mean, as 0 for real and 1 for generated; words alone, such as real and fake, if None.
        name: What errors call the file.

    Raises:
        ValueError: If a row has no known label, or there is none.
    """

    def __init__(self, text: str, labels: Mapping[str, int] | None, name: str = "metadata") -> None:
        stated = labels is not None
        labels = {
            key.lower(): value for key, value in (WORDS if labels is None else labels).items()
        }
        if wrong := {key: value for key, value in labels.items() if value not in (0, 1)}:
            msg = f"a label means 1, generated, or 0, real; {wrong} does not"
            raise ValueError(msg)
        self.rows: PathTable[int] = PathTable()
        self.used: set[tuple[str, ...]] = set()
        for number, line in enumerate(text.split("\n")):
            if not line.strip():
                continue
            path, value = split_row(line)
            label = labels.get(value.lower())
            if label is None:
                if not stated and value.isdigit():
                    msg = (
                        f"{name}: row {number + 1} is labelled {value}, and data sets differ in what that means: "
                        """say it, such as --label-map '{"0": 0, "1": 1}' where 1 is generated"""
                    )
                    raise ValueError(msg)
                if number == 0:
                    continue
                msg = f"{name}: row {number + 1} has no label of {', '.join(labels)}: {line.strip()[:80]}"
                raise ValueError(msg)
            if not path.strip():
                msg = f"{name}: row {number + 1} has a label and no path"
                raise ValueError(msg)
            self.rows.add(path, label)
        if not self.rows:
            msg = f"{name}: no rows with a path and a label"
            raise ValueError(msg)

    def label(self, path: str) -> int | None:
        """A picture's label; None if no row, or no single row, fits best."""
        found = self.rows.find(path)
        if found is None:
            return None
        self.used.add(found[0])
        return found[1]

    def unused(self) -> list[str]:
        """Rows that no picture has asked for."""
        return ["/".join(row) for row in self.rows.paths() if row not in self.used]


class PathTable(Generic[Value]):
    """Values by path, whose first folders may be others than those of the paths that are asked for."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[tuple[str, ...], Value]]] = {}

    def __bool__(self) -> bool:
        return bool(self.rows)

    def add(self, path: str, value: Value) -> None:
        """One row."""
        parts = PurePosixPath(path.replace("\\", "/")).parts
        self.rows.setdefault(parts[-1], []).append((parts, value))

    def find(self, path: str) -> tuple[tuple[str, ...], Value] | None:
        """The row that shares the longest end with a path, with the folder it is in; None if none, or no single one, does."""
        parts = PurePosixPath(path).parts
        rows = self.rows.get(parts[-1], [])
        shared = [_shared_end(parts, row) for row, _ in rows]
        best = [index for index, length in enumerate(shared) if length == max(shared)]
        if len(best) != 1:
            return None
        row, value = rows[best[0]]
        if shared[best[0]] < min(2, len(parts), len(row)):  # the same file name in another folder
            return None
        return row, value

    def paths(self) -> list[tuple[str, ...]]:
        """Of every row."""
        return [row for rows in self.rows.values() for row, _ in rows]


def split_row(line: str) -> tuple[str, str]:
    """A path and, after the last space, tab, comma or semicolon, its value; an empty path if there is one field only."""
    fields = [
        field.strip('"') for field in re.split(r"[\s,;]+(?=[^\s,;]*$)", line.strip(), maxsplit=1)
    ]
    return (fields[0], fields[1]) if len(fields) == 2 else ("", "")


def _shared_end(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    count = 0
    for one, other in zip(reversed(a), reversed(b), strict=False):
        if one != other:
            break
        count += 1
    return count
