"""Label files as they are found: paths and labels in any of several layouts, and paths that need not begin where the pictures' do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath


class Annotations:
    """The labels of pictures, by path.

    A row is a path and, after the last space, tab, comma or semicolon, a label. A first row without a known label is a header.
    A picture's row is the one that shares the longest end of its path, with the folder it is in; what stands before does not matter.

    Args:
        text: The label file.
        labels: What the labels in the file mean, as 0 for real and 1 for generated.
        name: What errors call the file.

    Raises:
        ValueError: If a row has no known label, or there is none.
    """

    def __init__(self, text: str, labels: Mapping[str, int], name: str = "metadata") -> None:
        labels = {key.lower(): value for key, value in labels.items()}
        if wrong := {key: value for key, value in labels.items() if value not in (0, 1)}:
            msg = f"a label means 1, generated, or 0, real; {wrong} does not"
            raise ValueError(msg)
        self.rows: dict[str, list[tuple[tuple[str, ...], int]]] = {}
        self.used: set[tuple[str, ...]] = set()
        for number, line in enumerate(text.splitlines()):
            if not line.strip():
                continue
            fields = re.split(r"[\s,;]+(?=[^\s,;]*$)", line.strip(), maxsplit=1)
            label = labels.get(fields[-1].strip('"').lower()) if len(fields) == 2 else None
            if label is None:
                if number == 0:
                    continue
                msg = f"{name}: row {number + 1} has no label of {', '.join(labels)}: {line.strip()[:80]}"
                raise ValueError(msg)
            parts = PurePosixPath(fields[0].strip('"').replace("\\", "/")).parts
            self.rows.setdefault(parts[-1], []).append((parts, label))
        if not self.rows:
            msg = f"{name}: no rows with a path and a label"
            raise ValueError(msg)

    def label(self, path: str) -> int | None:
        """A picture's label; None if no row, or no single row, fits best."""
        parts = PurePosixPath(path).parts
        rows = self.rows.get(parts[-1], [])
        shared = [_shared_end(parts, row) for row, _ in rows]
        best = [index for index, length in enumerate(shared) if length == max(shared)]
        if len(best) != 1:
            return None
        row, label = rows[best[0]]
        if shared[best[0]] < min(2, len(parts), len(row)):  # the same file name in another folder
            return None
        self.used.add(row)
        return label

    def unused(self) -> list[str]:
        """Rows that no picture has asked for."""
        return ["/".join(row) for rows in self.rows.values() for row, _ in rows if row not in self.used]


def _shared_end(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    count = 0
    for one, other in zip(reversed(a), reversed(b), strict=False):
        if one != other:
            break
        count += 1
    return count
