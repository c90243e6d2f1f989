"""Image sources for sharding: archives, tables, shards or folders, local or remote."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from engine.files import decode_names, naming_errors, refuse_special
from images.archives import DamagedArchive, Member, read_tar, walk_folder
from images.formats import has_image_suffix
from images.tables import ANY_COLUMNS, Columns, read_table
from images.zips import read_zip

PART = re.compile(r"^(?P<stem>.+\.(?:tar\.gz|tgz))(?:\.(?P<number>\d+))?$")
"""File name of an archive, ``NAME.tar.gz``, or of its part, ``NAME.tar.gz.N``."""

KINDS = (".tar", ".zip", ".parquet")
"""File name endings of archives and tables that are one file."""


@contextmanager
def open_path(system: fsspec.AbstractFileSystem, path: str, name: str) -> Iterator[IO[bytes]]:
    """Open a file of an fsspec file system for reading.

    Args:
        system: The file system.
        path: Path in it.
        name: Name of the file in error messages.

    Raises:
        OSError: If reading fails, or the path is a local pipe, socket or device.
    """
    if isinstance(system, LocalFileSystem):
        refuse_special(Path(path))
    with naming_errors(name), system.open(path, "rb") as stream:
        yield stream


@contextmanager
def open_url(url: str) -> Iterator[IO[bytes]]:
    """Open a local file or an fsspec URL for reading; see :func:`open_path`."""
    system, path = fsspec.url_to_fs(url)
    with open_path(system, path, url.removeprefix("file://")) as stream:
        yield stream


@dataclass(frozen=True)
class SplitArchive:
    """A ``tar.gz`` archive in one or several parts.

    Parts are read as one stream. Nothing is joined on disk, and nothing is downloaded ahead.

    Attributes:
        stem: Name of the archive.
        parts: Paths of the parts, in order.
        system: fsspec file system of the parts.
    """

    stem: str
    parts: tuple[str, ...]
    system: Any

    def members(self) -> Iterator[Member]:
        """Yield every file of the archive, in order.

        Raises:
            DamagedArchive: If the archive is damaged or truncated.
            ValueError: If a member's name points outside the archive.
        """
        stream = PartStream(self)
        try:
            with gzip.GzipFile(fileobj=io.BufferedReader(stream, 1 << 20)) as plain:
                # Read to the end, where the checksum is.
                yield from read_tar(plain, self.stem)  # type: ignore[arg-type]
        except DamagedArchive as error:
            msg = (
                f"{error} (it is read up to {stream.current}: "
                "see that the parts are numbered right)"
            )
            raise DamagedArchive(msg) from error
        except EOFError as error:
            msg = (
                f"{self.stem}: ends too early, in {stream.current}: that part is cut short, "
                "or one after it is missing"
            )
            raise DamagedArchive(msg) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            msg = (
                f"{self.stem}: damaged in {stream.current} ({error}): get that part again, "
                "and see that the parts are numbered right"
            )
            raise DamagedArchive(msg) from error


class PartStream(io.RawIOBase):
    """Stream over the parts of an archive, opened one at a time."""

    def __init__(self, archive: SplitArchive) -> None:
        self.archive = archive
        self.rest = list(archive.parts)
        self.current = archive.parts[0]
        self.file = io.BytesIO()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            with naming_errors(self.current):
                content = self.file.read(len(buffer))
            if content or not self.rest:
                buffer[: len(content)] = content
                return len(content)
            self.file.close()
            self.current = self.rest.pop(0)
            with naming_errors(self.current):
                self.file = self.archive.system.open(self.current, "rb")


def find_archives(source: str) -> list[SplitArchive]:
    """Find the ``tar.gz`` archives of a folder, sorted by name.

    Archives are whole, ``NAME.tar.gz``, or in parts, ``NAME.tar.gz.N``.

    Args:
        source: Folder or fsspec URL, such as ``hf://datasets/OWNER/NAME/FOLDER``.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If parts are missing or duplicated.
    """
    # Group the parts by archive.
    system, root = fsspec.url_to_fs(source)
    if not system.isdir(root):
        msg = f"{source}: no such folder"
        raise FileNotFoundError(msg)
    archives: dict[str, dict[int | None, str]] = {}
    for path in sorted(system.ls(root, detail=False)):
        match = PART.match(PurePosixPath(path).name)
        if match is None:
            continue
        number = None if match["number"] is None else int(match["number"])
        parts = archives.setdefault(match["stem"], {})
        if number in parts:
            first = PurePosixPath(parts[number]).name
            msg = f"{source}: {PurePosixPath(path).name} and {first} are the same part; delete one"
            raise ValueError(msg)
        parts[number] = path
    # Put the parts in order.
    return [
        SplitArchive(stem, _in_order(source, stem, parts), system)
        for stem, parts in sorted(archives.items())
    ]


def read_source(source: str, columns: Columns = ANY_COLUMNS) -> Iterator[Member]:
    """Yield every file of a source, in a fixed order.

    Args:
        source: A ``.tar``, ``.zip`` or ``.parquet`` file; a folder or fsspec URL
            (``hf://datasets/OWNER/NAME/FOLDER``) of such files of one kind, or of ``.tar.gz``
            archives, whole or in parts; or a local folder of images, searched recursively.
        columns: Columns of ``.parquet`` files.

    Raises:
        FileNotFoundError: If the source has no such files.
        ValueError: If an archive is incomplete or damaged, or a folder mixes kinds.
    """
    system, root = fsspec.url_to_fs(source)
    if source.lower().endswith(KINDS):
        return _file_members(system, root, columns)
    if archives := find_archives(source):
        return _archive_members(archives)
    if files := _single_files(system, root, source):
        several = len(files) > 1
        return chain.from_iterable(_file_members(system, path, columns, several) for path in files)
    if "://" in source:
        msg = f"{source}: no .tar.gz archives and no {', '.join(KINDS)} files here"
        raise FileNotFoundError(msg)
    return walk_folder(Path(source))


def _single_files(system: fsspec.AbstractFileSystem, root: str, source: str) -> list[str]:
    """List the archives and tables of a folder, which must be of one kind.

    A remote folder is searched recursively if it has none itself.

    Raises:
        ValueError: If they are of several kinds, or images lie beside zip archives or tables.
    """
    listed = sorted(system.ls(root, detail=False))
    found = [path for path in listed if path.lower().endswith(KINDS)]
    if not found and "://" in source:
        listed = sorted(system.find(root))
        found = [path for path in listed if path.lower().endswith(KINDS)]
    kinds = {PurePosixPath(path).suffix.lower() for path in found}
    if ".tar" in kinds:
        return [path for path in found if path.endswith(".tar")]
    images = [path for path in listed if has_image_suffix(path)] if found else []
    if len(kinds) > 1 or images:
        first = PurePosixPath((images or found)[0]).name
        msg = f"{source}: holds files of several kinds, such as {first}; give them one by one"
        raise ValueError(msg)
    return found


def read_text(source: str) -> str:
    """Read a text file, local or at an fsspec URL.

    Invalid UTF-8 is kept as surrogates.

    Raises:
        ValueError: If it is UTF-16.
    """
    with open_url(source) as stream:
        return decode_names(bytes(stream.read()), source)


def _archive_members(archives: list[SplitArchive]) -> Iterator[Member]:
    """Yield the files of archives.

    Names begin with the archive's name if there are several archives.
    """
    for archive in archives:
        for member in archive.members():
            yield _prefixed(member, "" if len(archives) == 1 else f"{archive.stem}/")


def _file_members(
    system: fsspec.AbstractFileSystem, file: str, columns: Columns, several: bool = False
) -> Iterator[Member]:
    """Yield the files of an archive or table, prefixed with its name.

    The members of a single zip archive keep their names.
    """
    name = PurePosixPath(file)
    prefix = f"{name.stem}/"
    with open_path(system, file, file) as stream:
        if name.suffix.lower() == ".zip":
            members = read_zip(stream, file)
            prefix = prefix if several else ""
        elif name.suffix.lower() == ".parquet":
            members = read_table(stream, file, columns)
        else:
            members = read_tar(stream, file)
        for member in members:
            yield _prefixed(member, prefix)


def _prefixed(member: Member, prefix: str) -> Member:
    return replace(member, name=f"{prefix}{PurePosixPath(member.name)}")


def _in_order(source: str, stem: str, parts: dict[int | None, str]) -> tuple[str, ...]:
    """Sort parts by number, and check that none is missing."""
    if None in parts:
        if len(parts) > 1:
            msg = f"{source}: {stem} exists whole and in parts; delete one of them"
            raise ValueError(msg)
        return (parts[None],)
    numbers = sorted(number for number in parts if number is not None)
    if missing := sorted(set(range(numbers[-1] + 1)) - set(numbers)):
        msg = f"{source}: {stem}.{missing[0]} is missing; download it, all parts are needed"
        raise ValueError(msg)
    return tuple(parts[number] for number in numbers)
