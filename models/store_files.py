"""Files of a vector store: the matrix, in the format of NumPy or PyTorch, and lists of lines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MATRIX = "features.npy"

TORCH_MATRICES = ("fts.pt", "fts.pth")
"""Files of the matrix as written by active indexing's published code."""

REMEDY = "extract the features again"

Vectors = NDArray[np.float32]


def matrix_file(folder: Path) -> Path | None:
    """Find the file of the matrix in a folder; None without one."""
    for name in (MATRIX, *TORCH_MATRICES):
        if (folder / name).is_file():
            return folder / name
    return None


def read_matrix(file: Path) -> Vectors:
    """Open a matrix of vectors, memory-mapped if possible.

    Raises:
        ValueError: If the file is damaged, or is no matrix of numbers.
    """
    try:
        matrix = np.load(file, mmap_mode="r") if file.name == MATRIX else _tensor(file)
    except Exception as error:  # damaged headers make NumPy raise nearly anything
        msg = f"{file}: damaged or not a matrix of vectors ({error}); {REMEDY}"
        raise ValueError(msg) from error
    if matrix.dtype.kind not in "fiu":
        msg = f"{file}: holds {matrix.dtype} instead of numbers; {REMEDY}"
        raise ValueError(msg)
    return matrix


def _tensor(file: Path) -> Vectors:
    """Read a matrix that PyTorch saved."""
    import torch

    from checkpoints.safe import read_pickled

    tensor = read_pickled(file)
    if not isinstance(tensor, torch.Tensor):
        msg = f"it holds a {type(tensor).__name__}"
        raise ValueError(msg)
    return tensor.float().numpy()


def write_matrix(target: Path, blocks: Iterable[Vectors], count: int, dimension: int) -> None:
    """Write a matrix in ``np.save``'s format, block by block.

    Args:
        target: The file.
        blocks: Consecutive blocks of vectors, (n, D) each.
        count: Number of vectors.
        dimension: Length D of a vector.

    Raises:
        ValueError: If the blocks have another number of vectors.
    """
    with target.open("wb") as stream:
        head = {"descr": "<f4", "fortran_order": False, "shape": (count, dimension)}
        np.lib.format.write_array_header_1_0(stream, head)
        written = 0
        for block in blocks:
            stream.write(np.ascontiguousarray(block, dtype="<f4").data)
            written += len(block)
    if written != count:
        msg = f"{written} vectors for {count} names"
        raise ValueError(msg)


def write_lines(target: Path, lines: Iterable[str]) -> None:
    """Write lines of text that may contain names of any bytes."""
    with target.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def write_fts(matrix: Path, target: Path) -> None:
    """Write a saved matrix as a tensor of PyTorch."""
    import torch

    with target.open("wb") as stream:
        # Given a path, torch would store its name.
        torch.save(torch.from_numpy(np.load(matrix)), stream)
