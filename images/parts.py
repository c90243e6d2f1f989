"""Archives that were cut into parts, read as one stream: nothing is joined on disk, nothing is downloaded before its turn."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import fsspec

from images.shards import refuse_outside

PART = re.compile(r"^(?P<stem>.+\.(?:tar\.gz|tgz))(?:\.(?P<number>\d+))?$")
LARGEST_MEMBER = 1 << 30
"""Bytes; a picture file is smaller."""


@dataclass(frozen=True)
class Member:
    """A file of an archive, a shard or a folder: its path there, and its bytes."""

    path: str
    content: bytes


@dataclass(frozen=True)
class Archive:
    """The parts of one archive, in order, on a file system of fsspec's."""

    stem: str
    parts: tuple[str, ...]
    system: Any

    def members(self) -> Iterator[Member]:
        """Every file in it, in its order.

        Raises:
            ValueError: If it is damaged or cut short, or a name leads out of it.
        """
        stream = PartStream(self)
        try:
            with gzip.GzipFile(fileobj=io.BufferedReader(stream, 1 << 20)) as plain:
                yield from read_tar(plain, self.stem)
                while plain.read(1 << 20):  # to the end, where the checksum is
                    pass
        except EOFError as error:
            msg = f"{self.stem}: ends too early, in {stream.current}: that part is cut short, or one after it is missing"
            raise ValueError(msg) from error
        except (tarfile.TarError, gzip.BadGzipFile, zlib.error) as error:
            msg = f"{self.stem}: damaged in {stream.current} ({error}): get that part again, and see that the parts are numbered right"
            raise ValueError(msg) from error


def read_tar(stream: Any, name: str) -> Iterator[Member]:
    """The files of a tar stream, one after another, without going back.

    Raises:
        ValueError: If a file's name leads out of it, or a file is too large.
        tarfile.TarError: If it is damaged.
    """
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for entry in archive:
            archive.members = []  # type: ignore[attr-defined]  # tarfile would remember every one of a million
            if not entry.isfile():
                continue
            refuse_outside(entry.name, name, "archive")
            if entry.size > LARGEST_MEMBER:
                msg = f"{name}: the entry {entry.name} has {entry.size:,} bytes; a picture has fewer"
                raise ValueError(msg)
            content = archive.extractfile(entry)
            assert content is not None
            yield Member(str(PurePosixPath(entry.name)), content.read())


class PartStream(io.RawIOBase):
    """The bytes of the parts one after another, each opened when its turn comes."""

    def __init__(self, archive: Archive) -> None:
        self.archive, self.rest = archive, list(archive.parts)
        self.current, self.file = archive.parts[0], io.BytesIO()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            content = self.file.read(len(buffer))
            if content or not self.rest:
                buffer[: len(content)] = content
                return len(content)
            self.file.close()
            self.current = self.rest.pop(0)
            self.file = self.archive.system.open(self.current, "rb")


def find_archives(source: str) -> list[Archive]:
    """The archives ``NAME.tar.gz`` in a folder, whole or in parts ``NAME.tar.gz.N``, in order of their names.

    Args:
        source: A folder, or a URL that fsspec reads, such as ``hf://datasets/OWNER/NAME/FOLDER``.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If parts are missing or named twice.
    """
    system, root = fsspec.url_to_fs(source)
    if not system.isdir(root):
        msg = f"{source}: no such folder"
        raise FileNotFoundError(msg)
    found: dict[str, dict[int | None, str]] = {}
    for path in sorted(system.ls(root, detail=False)):
        match = PART.match(PurePosixPath(path).name)
        if match is None:
            continue
        number = None if match["number"] is None else int(match["number"])
        parts = found.setdefault(match["stem"], {})
        if number in parts:
            msg = f"{source}: {PurePosixPath(path).name} and {PurePosixPath(parts[number]).name} are the same part"
            raise ValueError(msg)
        parts[number] = path
    return [Archive(stem, _in_order(source, stem, parts), system) for stem, parts in sorted(found.items())]


def _in_order(source: str, stem: str, parts: dict[int | None, str]) -> tuple[str, ...]:
    """Parts by number, as numbers and not as text; a whole file stands alone."""
    if None in parts:
        if len(parts) > 1:
            msg = f"{source}: {stem} is there whole and in parts; keep one of them"
            raise ValueError(msg)
        return (parts[None],)
    if missing := sorted(set(range(max(n for n in parts if n is not None) + 1)) - {n for n in parts if n is not None}):
        msg = f"{source}: {stem}.{missing[0]} is missing; get it, for the archive cannot be read without it"
        raise ValueError(msg)
    return tuple(parts[number] for number in sorted(n for n in parts if n is not None))
