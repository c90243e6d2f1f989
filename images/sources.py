"""Sources of images to be sharded: split archives, other people's shards, or folders; here or on the Hub."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from images.archives import DamagedArchive, Member, read_tar, walk_folder

PART = re.compile(r"^(?P<stem>.+\.(?:tar\.gz|tgz))(?:\.(?P<number>\d+))?$")


@dataclass(frozen=True)
class SplitArchive:
    """The parts of one ``tar.gz`` archive, in order, on a file system of fsspec's.

    They are read as one stream: nothing is joined on disk, nothing is downloaded before its turn.
    """

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
                yield from read_tar(plain, self.stem)  # type: ignore[arg-type]  # to the end, where the checksum is
        except DamagedArchive as error:
            msg = f"{error} (it is read up to {stream.current}: see that the parts are numbered right)"
            raise DamagedArchive(msg) from error
        except EOFError as error:
            msg = f"{self.stem}: ends too early, in {stream.current}: that part is cut short, or one after it is missing"
            raise DamagedArchive(msg) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            msg = f"{self.stem}: damaged in {stream.current} ({error}): get that part again, and see that the parts are numbered right"
            raise DamagedArchive(msg) from error


class PartStream(io.RawIOBase):
    """The bytes of the parts one after another, each opened when its turn comes."""

    def __init__(self, archive: SplitArchive) -> None:
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


def find_archives(source: str) -> list[SplitArchive]:
    """Find the archives ``NAME.tar.gz`` in a folder, whole or in parts ``NAME.tar.gz.N``, in order of their names.

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
    return [SplitArchive(stem, _in_order(source, stem, parts), system) for stem, parts in sorted(found.items())]


def read_source(source: str) -> Iterator[Member]:
    """Every file of a source, always in the same order.

    Args:
        source: A folder or an fsspec URL (``hf://datasets/OWNER/NAME/FOLDER``, ``https://…/x.tar``) with ``.tar.gz``
            archives, whole or in parts; with ``.tar`` shards; or, if it is here, with images in it and its sub-folders.
            A single ``.tar`` is a source, too.

    Raises:
        FileNotFoundError: If there is nothing of the kind.
        ValueError: If an archive or shard is incomplete or damaged.
    """
    system, root = fsspec.url_to_fs(source)
    if source.endswith(".tar"):
        shards = [root]
    elif archives := find_archives(source):
        return _archive_members(archives)
    else:
        shards = sorted(path for path in system.ls(root, detail=False) if path.endswith(".tar"))
    if shards:
        return (member for shard in shards for member in _shard_members(system, shard))
    if "://" in source:
        msg = f"{source}: neither .tar.gz archives nor .tar shards are there"
        raise FileNotFoundError(msg)
    return walk_folder(Path(source))


def read_text(source: str) -> str:
    """A text file, here or at an fsspec URL; bytes that are no text are kept."""
    with fsspec.open(source, "rb") as stream:
        return bytes(stream.read()).decode("utf-8", "surrogateescape")


def _archive_members(archives: list[SplitArchive]) -> Iterator[Member]:
    """The files of one archive, or of several, each under its archive's name, as they may hold files of one name."""
    for archive in archives:
        for member in archive.members():
            yield _placed(member, "" if len(archives) == 1 else f"{archive.stem}/")


def _shard_members(system: fsspec.AbstractFileSystem, shard: str) -> Iterator[Member]:
    """A shard's files, under the shard's name."""
    name = PurePosixPath(shard)
    with system.open(shard, "rb") as stream:
        for member in read_tar(stream, shard):
            yield _placed(member, f"{name.stem}/")


def _placed(member: Member, prefix: str) -> Member:
    return replace(member, name=f"{prefix}{PurePosixPath(member.name)}")


def _in_order(source: str, stem: str, parts: dict[int | None, str]) -> tuple[str, ...]:
    """Parts by number, as numbers and not as text; a whole file stands alone."""
    if None in parts:
        if len(parts) > 1:
            msg = f"{source}: {stem} is there whole and in parts; keep one of them"
            raise ValueError(msg)
        return (parts[None],)
    numbers = sorted(number for number in parts if number is not None)
    if missing := sorted(set(range(numbers[-1] + 1)) - set(numbers)):
        msg = f"{source}: {stem}.{missing[0]} is missing; get it, for the archive cannot be read without it"
        raise ValueError(msg)
    return tuple(parts[number] for number in numbers)
