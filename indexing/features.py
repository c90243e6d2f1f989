"""Descriptors on disk: a matrix that is read in parts, the name of the picture of each row, and where they are from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from checkpoints.safe import read_pickled
from engine.files import write_text

MATRIX, NAMES, PROVENANCE = "features.npy", "filenames.txt", "features.json"
FOREIGN = ("fts.pt", "fts.pth")
"""The matrix as active indexing's published programs write it."""


@dataclass(frozen=True)
class Features:
    """Descriptors of pictures.

    Attributes:
        matrix: (N, D) float32; on disk until it is read.
        names: N names of pictures.
        extractor: What made them (see :meth:`models.embedders.Embedder.record`); empty if nobody knows.
    """

    matrix: NDArray[np.float32]
    names: list[str]
    extractor: dict[str, Any]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def fingerprint(self) -> str:
        """The extractor's; empty if nobody knows."""
        return str(self.extractor.get("fingerprint", ""))

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Some rows, read into memory.

        Raises:
            ValueError: If a value is not finite.
        """
        rows = np.ascontiguousarray(self.matrix[start:stop], dtype=np.float32)
        if not np.isfinite(rows).all():
            row = start + int(np.argmin(np.isfinite(rows).all(axis=1)))
            msg = f"the descriptor of {self.names[row]} is not finite; extract the features again"
            raise ValueError(msg)
        return rows


def read_features(folder: Path) -> Features:
    """Open a folder of descriptors: ours, or one with ``fts.pt`` (or ``fts.pth``) and ``filenames.txt``.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If they are damaged, empty, or names and rows do not match.
    """
    file = next((folder / name for name in (MATRIX, *FOREIGN) if (folder / name).is_file()), None)
    if file is None or not (folder / NAMES).is_file():
        msg = f"{folder}: no features here; a folder of python -m indexing extract has {MATRIX} (or {FOREIGN[0]}) and {NAMES}"
        raise FileNotFoundError(msg)
    try:
        matrix = np.load(file, mmap_mode="r") if file.name == MATRIX else _tensor(file)
        known = json.loads((folder / PROVENANCE).read_text()) if (folder / PROVENANCE).is_file() else {}
    except (ValueError, EOFError, OSError, RuntimeError) as error:
        msg = f"{file}: damaged or not a matrix of descriptors ({error}); extract the features again"
        raise ValueError(msg) from error
    names = (folder / NAMES).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    if matrix.ndim != 2 or 0 in matrix.shape or len(matrix) != len(names):
        msg = f"{folder}: {tuple(matrix.shape)} descriptors for {len(names)} names; there must be one row for each name, and at least one"
        raise ValueError(msg)
    return Features(matrix, names, known.get("extractor", {}))


def _tensor(file: Path) -> NDArray[np.float32]:
    tensor = read_pickled(file)
    if not isinstance(tensor, torch.Tensor):
        msg = f"it holds a {type(tensor).__name__}"
        raise ValueError(msg)
    return tensor.float().numpy()


def write_features(folder: Path, features: Features, foreign: bool = False) -> None:
    """Write a folder that :func:`read_features` opens; the names come last, so that half a folder is none.

    Args:
        folder: The folder.
        features: What to write.
        foreign: Write ``fts.pt``, too.

    Raises:
        ValueError: If a name has a line break in it.
    """
    if broken := [name for name in features.names if "\n" in name or "\r" in name]:
        msg = f"the name {broken[0]!r} has a line break in it, which a list of names cannot hold; rename the file"
        raise ValueError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{MATRIX}.partial"
    with partial.open("wb") as stream:
        np.save(stream, np.asarray(features.matrix, dtype=np.float32))
    partial.replace(folder / MATRIX)
    if foreign:
        beside = folder / f"{FOREIGN[0]}.partial"
        torch.save(torch.from_numpy(np.array(features.matrix, dtype=np.float32)), beside)
        beside.replace(folder / FOREIGN[0])
    write_text(folder / PROVENANCE, json.dumps({"extractor": features.extractor}, indent=2, default=str) + "\n")
    names = folder / f"{NAMES}.partial"
    names.write_text("".join(f"{name}\n" for name in features.names), encoding="utf-8", errors="surrogateescape")
    names.replace(folder / NAMES)
