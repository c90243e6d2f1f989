"""Vectors of an unfinished embedding job, in one file of each process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.files import PARTIAL
from models.store import BLOCK_ROWS, VectorStore
from models.store_files import Vectors
from models.store_parts import open_part


def in_part(folder: Path, row: dict[str, Any], width: int) -> bool:
    """Return True if a vector is present in its part.

    Args:
        folder: Folder of the parts.
        row: Row of a report, with ``part`` and ``row``.
        width: Bytes of a vector.
    """
    part = folder / str(row["part"])
    number = row.get("row")
    if not isinstance(number, int) or number < 0 or part.parent != folder or not part.is_file():
        return False
    rows = part.stat().st_size // width if part.suffix == PARTIAL else len(open_part(part))
    return number < rows


def vector_blocks(
    folder: Path,
    dimension: int,
    rows: Sequence[tuple[str, dict[str, Any]]],
    earlier: VectorStore | None,
) -> Iterator[Vectors]:
    """Yield blocks of vectors from the parts and the earlier store.

    Args:
        folder: Folder of the parts.
        dimension: Length D of a vector.
        rows: Name and row of each vector in a job's report.
        earlier: Store of an earlier run; None without.

    Yields:
        Consecutive blocks of vectors, (n, D) each.
    """
    labels = earlier.labels if earlier is not None else []
    earlier_rows = {label: row for row, label in enumerate(labels)}
    parts: dict[str, Vectors] = {}
    for start in range(0, len(rows), BLOCK_ROWS):
        block = []
        for name, row in rows[start : start + BLOCK_ROWS]:
            if "part" not in row:
                assert earlier is not None
                block.append(earlier.matrix[earlier_rows[name]])
                continue
            part = row["part"]
            if part not in parts:
                parts[part] = _open_part(folder / part, dimension)
            block.append(parts[part][row["row"]])
        yield np.stack(block)


def _open_part(file: Path, dimension: int) -> Vectors:
    """Memory-map a part of this format or of the first one."""
    if file.suffix != PARTIAL:
        return open_part(file)
    count = file.stat().st_size // (4 * dimension)
    return np.memmap(file, "<f4", "r", shape=(count, dimension))
