"""Changes of an index on disk: ``add``, ``update`` and ``remove``. Ids never change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.files import locked, read_lines
from indexing.entries import Inserted, store_digests
from indexing.index import Index
from indexing.named_index import CHUNK, NamedIndex
from models.store import VectorStore

MEGABYTE = 2**20


@dataclass(frozen=True)
class Changes:
    """Numbers of entries that an update changed."""

    added: int
    replaced: int
    removed: int
    kept: int

    def __str__(self) -> str:
        return (
            f"{self.added} added, {self.replaced} replaced, {self.removed} removed, "
            f"{self.kept} kept"
        )


def add(folder: Path, features: Sequence[Path], memory_mb: int = 1024) -> Index:
    """Insert descriptors into an index on disk.

    The index is left unchanged if any descriptors are refused.

    Args:
        folder: Folder of the index.
        features: Folders of descriptors.
        memory_mb: Memory limit for descriptors in MiB.

    Returns:
        The filled index.

    Raises:
        FileNotFoundError: If a folder holds no index or no descriptors.
        ValueError: If descriptors are of another extractor or length, or a name is in the index
            already.
    """
    with locked(folder):
        index = Index.open(folder)
        inserted = []
        for place in features:
            store = VectorStore.open(place)
            index.admit(store)
            rows = np.arange(len(store))
            inserted.append(index.insert(store, rows, chunk_rows(memory_mb, index.dimension)))
        index.recalibrate(inserted)
        index.save(folder)
    return index


def update(folder: Path, features: Sequence[Path], memory_mb: int = 1024) -> tuple[Index, Changes]:
    """Make an index on disk hold exactly these descriptors.

    New descriptors are added, changed ones replaced under a new id, and entries that are not among
    the descriptors removed. All others keep their ids.

    Args:
        folder: Folder of the index.
        features: Folders of all descriptors.
        memory_mb: Memory limit for descriptors in MiB.

    Raises:
        FileNotFoundError: If a folder holds no index or no descriptors.
        ValueError: If descriptors are of another extractor or length, a name is given twice, or the
            index is of a version that kept no digests.
    """
    with locked(folder):
        index = Index.open(folder)
        if index.entries.digests is None:
            msg = (
                f"{folder}: an earlier version wrote this index, without digests of the "
                "descriptors; build it again in a new folder"
            )
            raise ValueError(msg)
        stores = [VectorStore.open(place) for place in features]
        changes, inserted = synchronize(index, stores, chunk_rows(memory_mb, index.dimension))
        if changes.added or changes.replaced or changes.removed:
            index.recalibrate(inserted)
            index.save(folder)
    return index, changes


def synchronize(
    index: NamedIndex, stores: Sequence[VectorStore], chunk: int = CHUNK
) -> tuple[Changes, list[Inserted]]:
    """Make an index hold exactly these descriptors; see :func:`update`.

    Args:
        index: The index, with digests.
        stores: All descriptors.
        chunk: Rows read at once.

    Returns:
        What changed, and the inserted rows.

    Raises:
        ValueError: As of :func:`update`.
    """
    # compare names and digests with the entries
    known = index.entries.ids()
    old = index.entries.digests
    assert old is not None, "the caller has checked that there are digests"
    seen: set[str] = set()
    new_rows = []
    stale = []
    for store in stores:
        index.admit(store, seen)
        rows = []
        for row, (name, digest) in enumerate(zip(store.names, store_digests(store), strict=True)):
            id_ = known.get(name)
            if id_ is not None and old[id_] != digest:
                stale.append(id_)
            if id_ is None or old[id_] != digest:
                rows.append(row)
        new_rows.append(np.array(rows, np.int64))
    gone = [id_ for name, id_ in known.items() if name not in seen]
    # change them
    index.entries.remove([*stale, *gone])
    pairs = zip(stores, new_rows, strict=True)
    inserted = [index.insert(store, rows, chunk) for store, rows in pairs]
    added = sum(map(len, new_rows)) - len(stale)
    return Changes(added, len(stale), len(gone), len(known) - len(stale) - len(gone)), inserted


def remove(folder: Path, names: Sequence[str]) -> tuple[Index, list[str], list[str]]:
    """Remove entries of an index on disk; all others keep their ids.

    Args:
        folder: Folder of the index.
        names: Names of entries; paths relative to the working folder; or text files with a name on
            each line.

    Returns:
        The index, the removed names, and the names that no entry has, those of a text file after
        its name.

    Raises:
        FileNotFoundError: If the folder holds no index.
        ValueError: If the index is damaged.
    """
    with locked(folder):
        index = Index.open(folder)
        found: dict[str, str] = {}
        unknown = []
        for name, label in _listed(names):
            absolute = str(Path(name).absolute())
            entry = next((one for one in (name, absolute) if one in index.entries.ids()), None)
            if entry is None:
                unknown.append(label)
            else:
                found[entry] = entry
        if found:
            index.remove(list(found))
            index.save(folder)
    return index, list(found), unknown


def _listed(names: Sequence[str]) -> list[tuple[str, str]]:
    """Replace text files by their lines; a line's label has its file's name."""
    result: list[tuple[str, str]] = []
    for name in names:
        if name.endswith(".txt") and Path(name).is_file():
            result += [(line, f"{name}: {line!r}") for line in read_lines(Path(name)) if line]
        else:
            result.append((name, name))
    return result


def chunk_rows(memory_mb: int, dimension: int) -> int:
    """Return the rows that are read at once, at least 1."""
    return min(CHUNK, rows_in_memory(memory_mb, dimension))


def rows_in_memory(memory_mb: int, dimension: int) -> int:
    """Count the float32 descriptors that fit in memory, at least 1."""
    return max(1, memory_mb * MEGABYTE // (4 * dimension))
