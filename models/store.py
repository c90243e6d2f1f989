"""Vectors of images on disk: a matrix, the name of each row, and the embedder they are of.

A folder has ``features.npy`` and ``filenames.txt``, as active indexing's published programs read them; ``features.json``, the
record of the embedder and the sha256 of every other file; and ``images.jsonl``, what is known of each row's image.
Folders with ``fts.pt`` in place of the matrix, and those of the sentinels' first version, are read, too.
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
from numpy.typing import NDArray

from engine.file_sets import NEXT, settle, write_set
from engine.files import check_digest, read_lines
from engine.records import parse_json, read_json, to_json
from models.store_parts import Parts, holds_parts

MATRIX, NAMES, RECORD, IMAGES = "features.npy", "filenames.txt", "features.json", "images.jsonl"

FOREIGN = ("fts.pt", "fts.pth")
"""The matrix as active indexing's published programs write it."""

REMEDY = "extract the features again"

BLOCK = 4096
"""Rows that are written at a time."""

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class StoredImage:
    """The image of a row: its name in the collection, where it was, and which content the vector is of.

    Attributes:
        name: Its place in the collection, with forward slashes.
        path: Absolute; of an image in a tar file, that of the tar file and the image's name in it.
        size: Bytes.
        mtime_ns: When it was last written.
        sha256: Of its bytes.
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
        matrix: (N, D) float32; on disk until it is read.
        names: Of N images; absolute paths where they are known.
        embedder: What made them (see :meth:`models.embedders.Embedder.record`); empty if nobody knows.
        load_images: Reads what is known of each image, row by row; empty where nothing is.
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
        """The embedder's; empty if nobody knows."""
        return str(self.embedder.get("fingerprint", ""))

    @cached_property
    def images(self) -> list[StoredImage]:
        """What is known of each row's image; empty where nothing is."""
        return self.load_images()

    @cached_property
    def labels(self) -> list[str]:
        """The short name of each row: its place in the collection where that is known."""
        return [image.name for image in self.images] or self.names

    def paths(self) -> dict[str, Path]:
        """The file of every label."""
        places = [image.path for image in self.images] or self.names
        return {label: Path(place) for label, place in zip(self.labels, places, strict=True)}

    def rows(self, start: int, stop: int) -> Vectors:
        """Some rows, read into memory.

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
        """Refuse an embedder whose vectors cannot be compared with these.

        Args:
            folder: Of this store, for the message.
            fingerprint: The embedder's.
            digest: That of its weights.

        Raises:
            ValueError: If it is another one.
        """
        sums = self.embedder.get("sha256")  # the sentinels' first version kept those alone
        same = digest == combined_digest(sums) if isinstance(sums, dict) else self.fingerprint in ("", fingerprint)
        if not same:
            msg = f"{folder} holds vectors of another model or view ({self.embedder.get('name')}): name that one, or use another folder"
            raise ValueError(msg)

    @classmethod
    def open(cls, folder: Path, verify: bool = True) -> VectorStore:
        """Open a folder of vectors of any version.

        Args:
            folder: The folder.
            verify: Compare the sha256 of the files with the record, which reads them once.

        Raises:
            FileNotFoundError: If there are none.
            ValueError: If they are damaged, empty, or names and rows do not match; the message names the file.
        """
        record = read_json(folder / RECORD, dict[str, Any], REMEDY) if (folder / RECORD).is_file() else {}
        sums, embedder = record.get("sha256", {}), record.get("extractor", {})
        if not isinstance(sums, dict) or not isinstance(embedder, dict):
            msg = f"{folder / RECORD}: damaged; {REMEDY}"
            raise ValueError(msg)
        settle(folder, sums)
        file = next((folder / name for name in (MATRIX, *FOREIGN) if (folder / name).is_file()), None)
        if file is None and holds_parts(folder):
            parts = Parts.open(folder)
            images = [StoredImage(row.name, row.path, row.size, row.mtime_ns, row.sha256) for row in parts.rows]
            return cls(parts.matrix(), [image.path for image in images], parts.model, lambda: images)
        if file is None or not (folder / NAMES).is_file():
            msg = f"{folder}: no features here; a folder of python -m indexing extract has {MATRIX} (or {FOREIGN[0]}) and {NAMES}"
            raise FileNotFoundError(msg)
        if verify:
            for one in (file, folder / NAMES):
                check_digest(one, sums.get(one.name), REMEDY)
        matrix = _matrix(file)
        names = [name.removesuffix("\r") for name in read_lines(folder / NAMES)]
        if matrix.ndim != 2 or 0 in matrix.shape or len(matrix) != len(names):
            shape = tuple(matrix.shape)
            msg = f"{folder}: {shape} vectors for {len(names)} names; there must be one row for each name, and at least one"
            raise ValueError(msg)
        return cls(matrix, names, embedder, lambda: _read_images(folder, sums.get(IMAGES), len(names)))

    def write(self, folder: Path, fts: bool = False) -> None:
        """Write a folder that :meth:`open` opens; arguments and errors as of :func:`write_vectors`."""
        blocks = (self.rows(start, start + BLOCK) for start in range(0, len(self), BLOCK))
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
    """Write a folder of vectors, all of its files or none.

    Args:
        folder: The folder.
        blocks: The vectors, some rows at a time, (n, D) each.
        dimension: D.
        names: One for each row.
        embedder: The embedder's record.
        images: What is known of each row's image; may be empty.
        fts: Write ``fts.pt``, too, as active indexing's published programs do.

    Raises:
        ValueError: If a name has a line break in it, or their number is not that of the rows.
    """
    for name in names:
        check_name(name)
    files: dict[str, Callable[[Path], None]] = {
        MATRIX: lambda target: _write_matrix(target, blocks, len(names), dimension),
        NAMES: lambda target: _write_lines(target, names),
    }
    if images:
        files[IMAGES] = lambda target: _write_lines(target, (json.dumps(asdict(image)) for image in images))
    if fts:
        files[FOREIGN[0]] = lambda target: _write_fts(folder / (MATRIX + NEXT), target)
    write_set(folder, files, RECORD, lambda sums: to_json({"extractor": dict(embedder), "sha256": sums}))
    for stale in {IMAGES, *FOREIGN} - set(files):
        (folder / stale).unlink(missing_ok=True)


def check_name(name: str) -> None:
    """Refuse a name that a list of names cannot hold.

    Raises:
        ValueError: If it has a line break in it.
    """
    if "\n" in name or "\r" in name:
        msg = f"the name {name!r} has a line break in it, which a list of names cannot hold; rename the file"
        raise ValueError(msg)


def combined_digest(sums: Mapping[str, str]) -> str:
    """One hexadecimal sha256 for a model's weight files: that of the one file, or of all names and sums."""
    if len(sums) == 1:
        return next(iter(sums.values()))
    return hashlib.sha256(json.dumps(dict(sums), sort_keys=True).encode()).hexdigest()


def _matrix(file: Path) -> Vectors:
    try:
        matrix = np.load(file, mmap_mode="r") if file.name == MATRIX else _tensor(file)
    except Exception as error:  # NumPy evaluates the head, which fails on damaged ones in any way
        msg = f"{file}: damaged or not a matrix of vectors ({error}); {REMEDY}"
        raise ValueError(msg) from error
    if matrix.dtype.kind not in "fiu":
        msg = f"{file}: holds {matrix.dtype} instead of numbers; {REMEDY}"
        raise ValueError(msg)
    return matrix


def _tensor(file: Path) -> Vectors:
    import torch

    from checkpoints.safe import read_pickled

    tensor = read_pickled(file)
    if not isinstance(tensor, torch.Tensor):
        msg = f"it holds a {type(tensor).__name__}"
        raise ValueError(msg)
    return tensor.float().numpy()


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


def _write_matrix(target: Path, blocks: Iterable[Vectors], count: int, dimension: int) -> None:
    """The bytes that ``np.save`` writes, without holding them."""
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


def _write_lines(target: Path, lines: Iterable[str]) -> None:
    with target.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def _write_fts(matrix: Path, target: Path) -> None:
    import torch

    with target.open("wb") as stream:
        torch.save(torch.from_numpy(np.load(matrix)), stream)  # of a path, it would keep the name
