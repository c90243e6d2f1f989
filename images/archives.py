"""Folders and tar files, read member by member.

Nothing is unpacked to disk. A damaged tar file raises an error that states the last intact byte.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, cast

from engine.files import open_for_reading

MAX_MEMBER_BYTES = 1 << 30
"""Size limit of a member; image files are smaller."""

MAX_HEADER_BYTES = 1 << 20
"""Size limit of a tar file's long names and extended headers."""

PAX_TYPES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
"""Entry types that extend the header of the next entry."""

HIDDEN = "a hidden file"
"""Reason for skipping a file whose name begins with a dot, or that lies in such a folder."""

HIDDEN_FOLDER = "a hidden folder"
"""Reason for skipping a folder whose name begins with a dot, such as one of thumbnails."""

LINKED_FOLDER = "a link to a folder; name that folder among the inputs"
"""Reason for skipping a link to a folder where links are not followed."""

LOOP = "a link to a folder that it lies in"
"""Reason for skipping a link to a folder where links are followed."""


class DamagedArchive(ValueError):
    """Error for a damaged, truncated or invalid archive."""


@dataclass(frozen=True)
class Member:
    """A file in an archive or folder.

    Attributes:
        name: Path in the archive, with forward slashes; invalid UTF-8 is kept as surrogates.
        source: The content, or the local file that holds it.
        offset: First byte of the content in the local file.
        length: Bytes of the content in the local file.
        mtime_ns: Modification time of the local file, in nanoseconds.
        skip: Reason for skipping the member; empty for a regular file.
        fault: Reason why the member cannot be read; empty if it can.
        columns: Label, generator and release date of an image in a table, as far as it has them.
    """

    name: str
    source: bytes | Path
    offset: int = 0
    length: int = 0
    mtime_ns: int = 0
    skip: str = ""
    fault: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.length if isinstance(self.source, Path) else len(self.source)

    def read(self) -> bytes:
        """Read the content.

        Raises:
            ValueError: If the member is skipped or faulty, or the local file was truncated.
            OSError: If the local file cannot be read.
        """
        if self.skip or self.fault:
            msg = f"{self.name}: {self.skip or self.fault}"
            raise ValueError(msg)
        if isinstance(self.source, bytes):
            return self.source
        with open_for_reading(self.source) as stream:
            stream.seek(self.offset)
            content = stream.read(self.length)
        if len(content) < self.length:
            msg = f"{self.source}: changed while it was read; {self.name} is incomplete, run again"
            raise DamagedArchive(msg)
        return content


def walk_folder(root: Path, follow_links: bool = False) -> Iterator[Member]:
    """Yield every file below a folder, sorted by path.

    Hidden folders are not entered. These, hidden files, special files, and links to folders that
    are not followed are yielded as skipped members.

    Args:
        root: The folder.
        follow_links: Follow links to folders, but to none that the link lies in.
    """
    members: list[tuple[tuple[str, ...], Member]] = []
    errors: list[OSError] = []
    # List files, and folders that are not entered.
    for folder, folders, files in os.walk(root, onerror=errors.append, followlinks=follow_links):
        prefix = os.path.relpath(folder, root) if folder != str(root) else ""
        reasons = {name: _skipped_folder(root, prefix, name, follow_links) for name in folders}
        folders[:] = [name for name in folders if not reasons[name]]
        for name in [*files, *(name for name, reason in reasons.items() if reason)]:
            path = os.path.join(prefix, name)
            skip = reasons.get(name, "")
            members.append((Path(path).parts, _file(root / path, path.replace(os.sep, "/"), skip)))
    # Turn unreadable sub-folders into faulty members.
    for error in errors:
        if error.filename == str(root):
            raise error
        path = os.path.relpath(error.filename, root).replace(os.sep, "/")
        fault = f"cannot be listed ({error.strerror})"
        members.append((Path(path).parts, Member(path, Path(error.filename), fault=fault)))
    for _, member in sorted(members, key=lambda item: item[0]):
        yield member


def is_hidden(name: str) -> bool:
    """Return True for a path in an archive with a part that begins with a dot."""
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def index_tar(path: Path) -> list[Member]:
    """List the files of a local, uncompressed tar file, in order.

    Only headers are read.

    Raises:
        FileNotFoundError: If the file does not exist.
        DamagedArchive: If the file is not an uncompressed tar file, or is incomplete.
        ValueError: If a member's name points outside the archive.
    """
    with open_for_reading(path) as stream:
        mtime_ns = os.fstat(stream.fileno()).st_mtime_ns
        return [_member(entry, path, mtime_ns) for _, entry in _entries(stream, "r:", str(path))]


def read_tar(stream: IO[bytes], name: str, seekable: bool = False) -> Iterator[Member]:
    """Yield every file of an uncompressed tar stream, with its content.

    Args:
        stream: The tar file; read to its end.
        name: Name of the archive in error messages.
        seekable: Seek in the stream, which is faster; for local files.

    Raises:
        DamagedArchive: If the stream is not an uncompressed tar file, or is incomplete; raised
            after the intact members.
        ValueError: If a member's name points outside the archive.
    """
    for archive, entry in _entries(stream, "r:" if seekable else "r|", name):
        member = _member(entry, b"")
        if not member.skip and not member.fault:
            member = Member(entry.name, _content(archive, entry, name))
        yield member


def check_member_name(name: str, archive: str) -> None:
    """Refuse a member name that points outside the archive.

    Raises:
        ValueError: If the name is absolute or contains ``..``.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        msg = f"{archive}: the entry {name} leads out of the archive; do not trust this file"
        raise ValueError(msg)


class _Header(tarfile.TarInfo):
    """Tar header that raises on damage, where tarfile would see the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            msg = "a header is damaged" if len(buf) == tarfile.BLOCKSIZE else "it is cut short"
            raise tarfile.ReadError(msg) from error
        extension_types = tarfile.GNU_TYPES + PAX_TYPES
        extends = header.type in extension_types and header.type != tarfile.GNUTYPE_SPARSE
        if header.size < 0 or (extends and header.size > MAX_HEADER_BYTES):
            msg = "a header states an impossible size"
            raise tarfile.ReadError(msg)
        return header


def _entries(
    stream: IO[bytes], mode: str, name: str
) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Yield the headers of all entries but folders, then check the end mark."""
    # Open the archive.
    try:
        archive = tarfile.open(None, mode, stream, tarinfo=_Header, encoding="utf-8")  # type: ignore[call-overload] # noqa: SIM115
    except (OSError, EOFError):
        raise
    except Exception as error:  # a damaged header makes tarfile raise nearly anything
        reason = f"not an uncompressed tar file, or damaged from its beginning ({error})"
        msg = f"{name}: {reason}; get a complete copy"
        raise DamagedArchive(msg) from error
    with archive:
        # Walk the headers; `good` is the end of the last intact entry.
        good = 0
        count = 0
        entry = None
        while True:
            try:
                entry = archive.next()
            except (OSError, EOFError):
                raise
            except Exception as error:
                raise DamagedArchive(_damaged(name, good, count, str(error))) from error
            if entry is None:
                break
            archive.members = []  # tarfile would remember every one
            check_member_name(entry.name, name)
            if archive.offset <= good:
                reason = "a header states an impossible size"
                raise DamagedArchive(_damaged(name, good, count, reason))
            if not entry.isdir():
                yield archive, entry
            good = archive.offset
            count += 1
        # Check that nothing but zeros follows.
        if trouble := _after_end(cast(IO[bytes], archive.fileobj)):
            raise DamagedArchive(_damaged(name, good, count, trouble))


def _after_end(stream: IO[bytes]) -> str:
    """Describe a fault in the end mark of a tar file.

    The mark is two blocks of zeros; the first one is already read.
    """
    block = stream.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE or any(block):
        return "the end mark is damaged"
    while rest := stream.read(1 << 16):
        if rest.count(0) < len(rest):
            return "data follows the end mark, as in concatenated tar files"
    return ""


def _damaged(name: str, good: int, count: int, trouble: str) -> str:
    place = f"damaged after {count} entries, which end at byte {good:,}"
    return f"{name}: {place}: {trouble}; get a complete copy"


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo, name: str) -> bytes:
    stream = cast(IO[bytes], archive.fileobj)
    stream.seek(entry.offset_data)  # forward, which streams can do
    content = stream.read(entry.size)
    if len(content) < entry.size:
        msg = f"{name}: cut short in the entry {entry.name}; get a complete copy"
        raise DamagedArchive(msg)
    return content


def _member(entry: tarfile.TarInfo, source: bytes | Path, mtime_ns: int = 0) -> Member:
    skip = fault = ""
    if is_hidden(entry.name):
        skip = HIDDEN
    elif entry.issym() or entry.islnk():
        skip = f"a link to {entry.linkname}"
    elif not entry.isfile() or entry.issparse():
        skip = "neither a file nor a folder, but a special entry"
    elif entry.size > MAX_MEMBER_BYTES:
        fault = f"{entry.size:,} bytes, more than an image has"
    return Member(entry.name, source, entry.offset_data, entry.size, mtime_ns, skip, fault)


def _skipped_folder(root: Path, prefix: str, name: str, follow_links: bool) -> str:
    """Return the reason for not entering a folder in ``root / prefix``; empty to enter it."""
    if name.startswith("."):
        return HIDDEN_FOLDER
    path = root / prefix / name
    if not path.is_symlink():
        return ""
    if not follow_links:
        return LINKED_FOLDER
    # The folders on the way may be links, too.
    target = path.resolve()
    way = [root / prefix, *(root / parent for parent in Path(prefix).parents)]
    return LOOP if any(folder.resolve().is_relative_to(target) for folder in way) else ""


def _file(path: Path, name: str, skip: str = "") -> Member:
    if skip:
        return Member(name, path, skip=skip)
    if path.name.startswith("."):
        return Member(name, path, skip=HIDDEN)
    try:
        status = path.stat()
    except OSError as error:
        trouble = "a link to nothing" if path.is_symlink() else f"cannot be read ({error.strerror})"
        return Member(name, path, fault=trouble)
    if not stat.S_ISREG(status.st_mode):
        return Member(name, path, skip="not a file, but a pipe, socket or device")
    return Member(name, path, 0, status.st_size, status.st_mtime_ns)
