"""Zip archives, read member by member.

Nothing is unpacked to disk. What a member unpacks to is bounded before and while it is read.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from images.archives import (
    HIDDEN,
    MAX_MEMBER_BYTES,
    DamagedArchive,
    Member,
    check_member_name,
    is_hidden,
)

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Compression methods that are read; others may need gigabytes of memory."""

FREE_BYTES = 16 << 20
"""Size up to which a member may unpack to any multiple of its stored size."""

MAX_EXPANSION = 100
"""Largest ratio of unpacked to stored size above :data:`FREE_BYTES`."""

MAX_LISTED = 5_000_000
"""Largest number of members; the largest published archives hold about a million."""

ENCRYPTED = 1
"""Bit of a member's flags."""


def read_zip(stream: IO[bytes], name: str) -> Iterator[Member]:
    """Yield every file of a zip archive, with its content, in the order of its directory.

    A member that cannot be read is yielded with its fault; the others are read.

    Args:
        stream: The archive; seekable.
        name: Name of the archive in error messages.

    Raises:
        DamagedArchive: If the archive's directory is damaged, or members share their bytes.
        ValueError: If a member's name points outside the archive.
    """
    try:
        archive = zipfile.ZipFile(stream)
    except OSError:
        raise
    except Exception as error:  # a damaged directory makes zipfile raise nearly anything
        msg = (
            f"{name}: not a whole zip archive ({error}); get a complete copy, "
            "and join one in several parts (.z01, ...) with zip -s 0"
        )
        raise DamagedArchive(msg) from error
    with archive:
        entries = archive.infolist()
        _check_entries(entries, stream, name)
        for entry in entries:
            check_member_name(entry.filename.replace("\\", "/"), name)
            if not entry.is_dir():
                yield _member(archive, entry)


def _check_entries(entries: list[zipfile.ZipInfo], stream: IO[bytes], name: str) -> None:
    """Refuse archives with too many members, or whose members share their bytes.

    Raises:
        DamagedArchive: If so.
    """
    if len(entries) > MAX_LISTED:
        msg = f"{name}: lists {len(entries):,} members, more than {MAX_LISTED:,}; split it"
        raise DamagedArchive(msg)
    size = stream.seek(0, 2)
    if sum(max(entry.compress_size, 0) for entry in entries) > size:
        msg = f"{name}: its members are larger than the archive; do not trust this file"
        raise DamagedArchive(msg)


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Member:
    """Read a member, or describe why it is not read."""
    skip = _skip_reason(entry)
    fault = "" if skip else _fault(entry)
    if skip or fault:
        return Member(entry.filename, b"", skip=skip, fault=fault)
    try:
        with archive.open(entry) as member:
            content = member.read(entry.file_size)
            # reading past the stated end checks the checksum
            longer = member.read(1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        return Member(entry.filename, b"", fault=f"damaged ({error})")
    if longer or len(content) < entry.file_size:
        return Member(entry.filename, b"", fault="damaged (its size is not the stated one)")
    return Member(entry.filename, content)


def _skip_reason(entry: zipfile.ZipInfo) -> str:
    """Explain why a member is skipped; empty for a regular file."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if is_hidden(entry.filename):
        return HIDDEN
    if kind == stat.S_IFLNK:
        return "a link"
    return "" if kind in (0, stat.S_IFREG) else "neither a file nor a folder, but a special entry"


def _fault(entry: zipfile.ZipInfo) -> str:
    """Explain why a member cannot be read; empty if it can."""
    if entry.flag_bits & ENCRYPTED:
        return "encrypted; unpack the archive and give the folder"
    if entry.compress_type not in METHODS:
        return "packed in a way that is not read; unpack the archive and give the folder"
    if entry.file_size > MAX_MEMBER_BYTES:
        return f"{entry.file_size:,} bytes, more than an image has"
    if entry.file_size > max(FREE_BYTES, MAX_EXPANSION * entry.compress_size):
        return f"unpacks to {entry.file_size:,} bytes from {entry.compress_size:,}; no image does"
    return ""
