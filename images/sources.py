"""Where pictures to be sharded come from: split archives, other people's shards, or folders; here or on the Hub."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import fsspec

from images.io import find_pictures
from images.parts import Archive, Member, find_archives, read_tar


def read_source(source: str) -> Iterator[Member]:
    """Every file of a source, always in the same order.

    Args:
        source: A folder or an fsspec URL (``hf://datasets/OWNER/NAME/FOLDER``, ``https://…/x.tar``) with ``.tar.gz`` archives, whole or
            in parts; with ``.tar`` shards; or, if it is here, with pictures in it and its sub-folders. A single ``.tar`` is a source, too.

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
    pictures, _ = find_pictures(Path(source))
    return (Member(str(path.relative_to(source)), path.read_bytes()) for path in pictures)


def read_text(source: str) -> str:
    """A text file, here or at an fsspec URL."""
    with fsspec.open(source, "r") as stream:
        return str(stream.read())


def _archive_members(archives: list[Archive]) -> Iterator[Member]:
    """The files of one archive, or of several, each under its archive's name, as they may hold files of one name."""
    for archive in archives:
        for member in archive.members():
            yield member if len(archives) == 1 else Member(f"{archive.stem}/{member.path}", member.content)


def _shard_members(system: fsspec.AbstractFileSystem, shard: str) -> Iterator[Member]:
    """A shard's files, under the shard's name, without the records and captions that travel with pictures."""
    name = PurePosixPath(shard)
    try:
        with system.open(shard, "rb") as stream:
            for member in read_tar(stream, name.name):
                if not member.path.endswith((".json", ".txt", ".cls")):
                    yield Member(f"{name.stem}/{member.path}", member.content)
    except tarfile.TarError as error:
        msg = f"{shard}: not an uncompressed tar file, or damaged ({error}); get a complete copy"
        raise ValueError(msg) from error
