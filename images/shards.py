"""WebDataset shards as pictures that can be read in any order, and written again with other pictures.

A sample is the run of a tar file's entries that share a name up to its first dot; its picture is the entry whose ending is a
plain picture ending (``jpg``, ``png``, ...). Nothing is ever unpacked to disk.
"""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from images.io import SUFFIXES, Photo, decode_photo, open_photo


@dataclass(frozen=True)
class Entry:
    """A member of a tar file: its name, and where its bytes are."""

    name: str
    offset: int
    size: int

    def read(self, shard: Path) -> bytes:
        with shard.open("rb") as stream:
            stream.seek(self.offset)
            return stream.read(self.size)


@dataclass(frozen=True)
class ShardSample:
    """One sample: the picture and the entries that travel with it."""

    key: str
    picture: Entry
    others: tuple[Entry, ...]


def read_samples(shard: Path) -> list[ShardSample]:
    """The samples of a shard that have a picture, in order; only names and places are read.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not an uncompressed tar file, is cut short, holds a name that leads out of it, or holds no pictures.
    """
    groups: dict[str, list[Entry]] = {}
    for entry in read_entries(shard):
        groups.setdefault(_key(entry.name), []).append(entry)
    samples = []
    for key, entries in groups.items():
        pictures = [entry for entry in entries if "." + entry.name[len(key) + 1 :].lower() in SUFFIXES]
        if len(pictures) > 1:
            msg = f"{shard}: sample {key} has {len(pictures)} pictures; one is expected"
            raise ValueError(msg)
        if pictures:
            samples.append(ShardSample(key, pictures[0], tuple(entry for entry in entries if entry is not pictures[0])))
    if not samples:
        msg = f"{shard}: no pictures in this shard; looked for {', '.join(sorted(SUFFIXES))}"
        raise ValueError(msg)
    return samples


def read_entries(shard: Path) -> list[Entry]:
    """Names and places of a shard's files; errors as in :func:`read_samples`."""
    entries = []
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                refuse_outside(member.name, str(shard), "shard")
                if member.isfile():
                    entries.append(Entry(member.name, member.offset_data, member.size))
    except tarfile.TarError as error:
        msg = f"{shard}: not an uncompressed tar file, or damaged ({error}); give WebDataset shards as .tar"
        raise ValueError(msg) from error
    if (last := max((entry.offset + entry.size for entry in entries), default=0)) > shard.stat().st_size:
        msg = f"{shard}: cut short, {last} bytes are expected; get a complete copy"
        raise ValueError(msg)
    return entries


def refuse_outside(name: str, place: str, kind: str) -> None:
    """Raise ValueError if the name of an entry leads out of the shard or archive it is in."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        msg = f"{place}: the entry {name} leads out of the {kind}; it is not to be trusted"
        raise ValueError(msg)


def open_picture(path: Path, entry: Entry | None) -> Photo:
    """Decode a picture file, or the picture that is an entry of the shard ``path``."""
    if entry is None:
        return open_photo(path)
    return decode_photo(io.BytesIO(entry.read(path)), f"{path}, {entry.name}")


class ShardWriter:
    """Writes a shard; the file appears under its name when it is closed."""

    def __init__(self, target: Path) -> None:
        self.target = target
        target.parent.mkdir(parents=True, exist_ok=True)
        self.partial = target.with_name(target.name + ".partial")
        self.archive = tarfile.open(self.partial, "w")  # noqa: SIM115 (closed by close)

    def add(self, name: str, content: bytes) -> None:
        """One entry."""
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self.archive.addfile(member, io.BytesIO(content))

    def close(self) -> None:
        """Finish the file."""
        self.archive.close()
        os.replace(self.partial, self.target)


def _key(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(path.name.split(".", 1)[0])) if path.name.split(".", 1)[0] else str(path)
