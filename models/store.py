"""Vector store on disk: a matrix, names of its rows, and the embedder's record.

A folder has ``features.npy`` and ``filenames.txt``, as in active indexing's published code;
``features.json``, the record of the embedder and the sha256 of all other files; and
``images.jsonl``, the image of each row. Folders with ``fts.pt`` instead of the matrix, and folders
of the first format (:mod:`models.store_parts`), are also read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from engine.file_sets import NEXT, move_staged_files, write_set
from engine.files import check_digest, read_lines
from engine.records import parse_json, read_json, to_json
from models.store_files import (
    MATRIX,
    REMEDY,
    TORCH_MATRICES,
    Vectors,
    matrix_file,
    read_matrix,
    write_fts,
    write_lines,
    write_matrix,
)
from models.store_parts import Parts, holds_parts

NAMES = "filenames.txt"
RECORD = "features.json"
IMAGES = "images.jsonl"

BLOCK_ROWS = 4096
"""Rows written at a time."""


@dataclass(frozen=True)
class StoredImage:
    """Image of a row.

    Attributes:
        name: Name in the collection, with forward slashes.
        path: Absolute path; for a tar member, ``/PATH/SHARD.tar/MEMBER``.
        size: Bytes of the image file.
        mtime_ns: Modification time, in nanoseconds.
        sha256: Hexadecimal sha256 of the image file.
    """

    name: str
    path: str
    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, eq=False)
class VectorStore:
    """Vectors of images.

    Attributes:
        matrix: (N, D) float32, memory-mapped.
        names: Names of the N rows; absolute paths if known.
        embedder: Record of :meth:`models.embedders.Embedder.record`; empty if unknown.
        load_images: Reader of the image of each row; an empty list if unknown.
    """

    matrix: Vectors
    names: list[str]
    embedder: dict[str, Any]
    load_images: Callable[[], list[StoredImage]] = field(default=list, repr=False)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def dimension(self) -> int:
        """Length D of a vector."""
        return int(self.matrix.shape[1])

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the embedder; empty if unknown."""
        return str(self.embedder.get("fingerprint", ""))

    @cached_property
    def images(self) -> list[StoredImage]:
        """Image of each row; empty if unknown."""
        return self.load_images()

    @cached_property
    def labels(self) -> list[str]:
        """Short name of each row: the name in the collection if known."""
        return [image.name for image in self.images] or self.names

    def paths(self) -> dict[str, Path]:
        """Map every label to its file."""
        places = [image.path for image in self.images] or self.names
        return {label: Path(place) for label, place in zip(self.labels, places, strict=True)}

    def rows(self, start: int, stop: int) -> Vectors:
        """Read the rows from ``start`` to before ``stop``.

        Raises:
            ValueError: If a value is not finite.
        """
        rows = np.ascontiguousarray(self.matrix[start:stop], dtype=np.float32)
        if not np.isfinite(rows).all():
            row = start + int(np.argmin(np.isfinite(rows).all(axis=1)))
            msg = f"the vector of {self.names[row]} is not finite; {REMEDY}"
            raise ValueError(msg)
        return rows

    def check_embedder(self, folder: Path, fingerprint: str, digest: str) -> None:
        """Refuse an embedder whose vectors are not comparable with the store's.

        Args:
            folder: Folder of the store, for the error message.
            fingerprint: Fingerprint of the embedder.
            digest: sha256 of the embedder's weights.

        Raises:
            ValueError: If the store is of another embedder.
        """
        if not self._is_of(fingerprint, digest):
            msg = (
                f"{folder} holds vectors of another model or view ({self.embedder.get('name')}): "
                "name that one, or use another folder"
            )
            raise ValueError(msg)

    def _is_of(self, fingerprint: str, digest: str) -> bool:
        """Return True if the store is of an embedder, or of an unknown one."""
        # The first format identifies the embedder by the sha256 of its weights only.
        sums = self.embedder.get("sha256")
        if isinstance(sums, dict):
            return digest == combined_digest(sums)
        return self.fingerprint in ("", fingerprint)

    @classmethod
    def open(cls, folder: Path, verify: bool = True) -> VectorStore:
        """Open a folder of vectors, of any format.

        Args:
            folder: The folder.
            verify: Compare the sha256 of the files with the record.

        Raises:
            FileNotFoundError: If the folder has no vectors.
            ValueError: If a file is damaged or empty, or names and rows do not match.
        """
        # Read the record.
        record: dict[str, Any] = {}
        if (folder / RECORD).is_file():
            record = read_json(folder / RECORD, dict[str, Any], REMEDY)
        sums = record.get("sha256", {})
        embedder = record.get("extractor", {})
        if not isinstance(sums, dict) or not isinstance(embedder, dict):
            msg = f"{folder / RECORD}: damaged; {REMEDY}"
            raise ValueError(msg)
        move_staged_files(folder, sums)
        file = matrix_file(folder)
        if file is None and holds_parts(folder):
            return cls._of_parts(Parts.open(folder))
        if file is None or not (folder / NAMES).is_file():
            msg = (
                f"{folder}: no features here; a folder of python -m indexing extract has {MATRIX} "
                f"(or {TORCH_MATRICES[0]}) and {NAMES}"
            )
            raise FileNotFoundError(msg)
        # Verify and open the files.
        if verify:
            for one in (file, folder / NAMES):
                check_digest(one, sums.get(one.name), REMEDY)
        matrix = read_matrix(file)
        names = [name.removesuffix("\r") for name in read_lines(folder / NAMES)]
        if matrix.ndim != 2 or 0 in matrix.shape or len(matrix) != len(names):
            shape = tuple(matrix.shape)
            msg = (
                f"{folder}: {shape} vectors for {len(names)} names; "
                "there must be one row for each name, and at least one"
            )
            raise ValueError(msg)
        return cls(
            matrix, names, embedder, lambda: _read_images(folder, sums.get(IMAGES), len(names))
        )

    @classmethod
    def _of_parts(cls, parts: Parts) -> VectorStore:
        """Open a store of the first format."""
        images = []
        for row in parts.rows:
            images.append(StoredImage(row.name, row.path, row.size, row.mtime_ns, row.sha256))
        names = [image.path for image in images]
        return cls(parts.matrix(), names, parts.model, lambda: images)

    def write(self, folder: Path, fts: bool = False) -> None:
        """Write a folder of vectors; see :func:`write_vectors`."""
        blocks = (self.rows(start, start + BLOCK_ROWS) for start in range(0, len(self), BLOCK_ROWS))
        write_vectors(folder, blocks, self.dimension, self.names, self.embedder, self.images, fts)


def write_vectors(
    folder: Path,
    blocks: Iterable[Vectors],
    dimension: int,
    names: Sequence[str],
    embedder: Mapping[str, Any],
    images: Sequence[StoredImage] = (),
    fts: bool = False,
) -> None:
    """Write a folder of vectors, all files or none.

    Args:
        folder: The folder.
        blocks: Consecutive blocks of vectors, (n, D) each.
        dimension: Length D of a vector.
        names: Names of the rows.
        embedder: Record of the embedder.
        images: Images of the rows; may be empty.
        fts: Write ``fts.pt`` as well, as active indexing's published code.

    Raises:
        ValueError: If a name has a line break, or the numbers of names and rows differ.
    """
    for name in names:
        check_name(name)
    files: dict[str, Callable[[Path], None]] = {
        MATRIX: lambda target: write_matrix(target, blocks, len(names), dimension),
        NAMES: lambda target: write_lines(target, names),
    }
    if images:
        lines = (json.dumps(asdict(image)) for image in images)
        files[IMAGES] = lambda target: write_lines(target, lines)
    if fts:
        files[TORCH_MATRICES[0]] = lambda target: write_fts(folder / (MATRIX + NEXT), target)
    write_set(
        folder, files, RECORD, lambda sums: to_json({"extractor": dict(embedder), "sha256": sums})
    )
    for stale in {IMAGES, *TORCH_MATRICES} - set(files):
        (folder / stale).unlink(missing_ok=True)


def check_name(name: str) -> None:
    """Refuse a name with a line break.

    Raises:
        ValueError: If the name has a line break.
    """
    if "\n" in name or "\r" in name:
        msg = (
            f"the name {name!r} has a line break in it, which a list of names cannot hold; "
            "rename the file"
        )
        raise ValueError(msg)


def combined_digest(sums: Mapping[str, str]) -> str:
    """Combine the sha256 of weight files; a single one is returned unchanged."""
    if len(sums) == 1:
        return next(iter(sums.values()))
    return hashlib.sha256(json.dumps(dict(sums), sort_keys=True).encode()).hexdigest()


def _read_images(folder: Path, expected: str | None, count: int) -> list[StoredImage]:
    file = folder / IMAGES
    if expected is None:
        return []
    check_digest(file, expected, REMEDY)
    images = [parse_json(line, StoredImage, str(file), REMEDY) for line in read_lines(file)]
    if len(images) != count:
        msg = f"{file}: {len(images)} images for {count} vectors; {REMEDY}"
        raise ValueError(msg)
    return images
