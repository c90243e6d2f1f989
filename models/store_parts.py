"""Reader of the first store format: an index and vectors in parts.

``index.json`` lists part and row of each image's vector. Parts are safetensors files.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.records import read_json

PARTS_INDEX = "index.json"
REMEDY = "delete the folder and embed again"
MAX_HEADER_BYTES = 2**20
"""Size limit of a part's header, which describes one matrix."""


@dataclass(frozen=True)
class Row:
    """Image with the location of its vector.

    Attributes:
        name: Name in the collection.
        path: Absolute path.
        size: Bytes of the image file.
        mtime_ns: Modification time, in nanoseconds.
        sha256: Hexadecimal sha256 of the image file.
        part: File name of the part.
        row: Row in the part.
    """

    name: str
    path: str
    size: int
    mtime_ns: int
    sha256: str
    part: str
    row: int


@dataclass(frozen=True)
class _Index:
    format: int
    model: dict[str, Any]
    rows: list[Row]


@dataclass(frozen=True)
class Parts:
    """Vector store in parts.

    Attributes:
        folder: The folder.
        model: Name and sha256 of the model's files.
        rows: The images.
    """

    folder: Path
    model: dict[str, Any]
    rows: list[Row]

    @classmethod
    def open(cls, folder: Path) -> Parts:
        """Read the index of a store.

        Raises:
            ValueError: If the index is damaged or of another version.
        """
        file = folder / PARTS_INDEX
        index = read_json(file, _Index, REMEDY)
        if index.format != 1 or not index.rows:
            msg = f"{file}: not a store of vectors, or an empty one; {REMEDY}"
            raise ValueError(msg)
        if wrong := next(
            (row.part for row in index.rows if PurePath(row.part).name != row.part), None
        ):
            msg = f"{file}: damaged (a part is named {wrong!r}); {REMEDY}"
            raise ValueError(msg)
        return cls(folder, index.model, index.rows)

    def matrix(self) -> NDArray[np.float32]:
        """Read the vectors of all rows, (N, D).

        Raises:
            ValueError: If a part is damaged.
        """
        names = {row.part for row in self.rows}
        opened = {name: open_part(self.folder / name) for name in names}
        widths = {matrix.shape[1] for matrix in opened.values()}
        outside = next((row for row in self.rows if not 0 <= row.row < len(opened[row.part])), None)
        if len(widths) > 1 or outside is not None:
            msg = f"{self.folder / PARTS_INDEX}: does not fit its parts; {REMEDY}"
            raise ValueError(msg)
        return np.stack([opened[row.part][row.row] for row in self.rows])


def holds_parts(folder: Path) -> bool:
    """Return True if a folder is a store in parts, not a faiss index."""
    return (folder / PARTS_INDEX).is_file() and any(folder.glob("part-*.safetensors"))


def open_part(file: Path) -> NDArray[np.float32]:
    """Memory-map the matrix of a part.

    Raises:
        ValueError: If the file is damaged or not a part.
    """
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > MAX_HEADER_BYTES:
                raise ValueError(f"a header of {length} bytes")  # noqa: EM102
            header = json.loads(stream.read(length))["vectors"]
        if header["dtype"] != "F32" or len(header["shape"]) != 2 or min(header["shape"]) < 1:
            raise ValueError(f"{header['dtype']} of shape {header['shape']}")  # noqa: EM102
        return np.memmap(
            file, np.float32, "r", 8 + length + header["data_offsets"][0], tuple(header["shape"])
        )
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        OverflowError,
        RecursionError,
        struct.error,
    ) as error:
        msg = f"{file} is damaged ({error}); {REMEDY}"
        raise ValueError(msg) from error
