"""Archives of files: folders and tar files, read member by member.

Nothing is unpacked to disk. A damaged tar file is an error that says how far it was good, whatever it still yields.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from engine.files import PARTIAL, opened

LARGEST_MEMBER = 1 << 30
"""Bytes of the largest member that is read; an image file is smaller."""

LARGEST_HEADER = 1 << 20
"""Bytes of a tar file's long names and extended headers."""


HIDDEN = "a hidden file"
"""Why a file whose name begins with a dot is passed over."""


class DamagedArchive(ValueError):
    """An archive that is damaged, cut short, or not one at all."""


@dataclass(frozen=True)
class Member:
    """A file of an archive or folder.

    Attributes:
        name: Its path in there, with forward slashes; bytes that are no text are kept as surrogates.
        source: Its bytes, or the local file that holds them.
        offset: Where they begin in that file.
        length: How many there are in that file.
        mtime_ns: When that file was last written.
        skip: Why it is passed over; empty for a file.
        fault: Why it cannot be read; empty if it can.
    """

    name: str
    source: bytes | Path
    offset: int = 0
    length: int = 0
    mtime_ns: int = 0
    skip: str = ""
    fault: str = ""

    @property
    def size(self) -> int:
        """Bytes."""
        return self.length if isinstance(self.source, Path) else len(self.source)

    def read(self) -> bytes:
        """Its bytes.

        Raises:
            ValueError: If it is no file, or the file that holds it has become shorter.
            OSError: If that file cannot be read.
        """
        if self.skip or self.fault:
            msg = f"{self.name}: {self.skip or self.fault}"
            raise ValueError(msg)
        if isinstance(self.source, bytes):
            return self.source
        with opened(self.source) as stream:
            stream.seek(self.offset)
            content = stream.read(self.length)
        if len(content) < self.length:
            msg = f"{self.source}: changed while it was read; {self.name} is not whole any more"
            raise DamagedArchive(msg)
        return content


def walk_folder(root: Path) -> Iterator[Member]:
    """Every file below a folder, in the order of their paths.

    Links to folders are not followed. They, hidden files and what is no file at all come as members to be skipped.
    """
    found: list[tuple[tuple[str, ...], Member]] = []
    refused: list[OSError] = []
    for folder, folders, files in os.walk(root, onerror=refused.append):
        inside = os.path.relpath(folder, root) if folder != str(root) else ""
        for name in [*files, *(name for name in folders if os.path.islink(os.path.join(folder, name)))]:
            place = os.path.join(inside, name)
            found.append((Path(place).parts, _file(root / place, place.replace(os.sep, "/"))))
    for error in refused:
        if error.filename == str(root):
            raise error
        place = os.path.relpath(error.filename, root).replace(os.sep, "/")
        found.append((Path(place).parts, Member(place, Path(error.filename), fault=f"cannot be listed ({error.strerror})")))
    for _, member in sorted(found, key=lambda item: item[0]):
        yield member


def index_tar(path: Path) -> list[Member]:
    """Every file in a local, uncompressed tar file, in order; only names and places are read.

    Raises:
        FileNotFoundError: If there is no such file.
        DamagedArchive: If it is no uncompressed tar file, or not whole.
        ValueError: If a name leads out of it.
    """
    with opened(path) as stream:
        written = os.fstat(stream.fileno()).st_mtime_ns
        return [_member(entry, path, written) for _, entry in _entries(stream, "r:", str(path))]


def read_tar(stream: IO[bytes], name: str, seekable: bool = False) -> Iterator[Member]:
    """Every file in a stream of an uncompressed tar file, with its bytes.

    Args:
        stream: The tar file; read to its end.
        name: What errors call it.
        seekable: Whether the stream is a local file, which is faster.

    Raises:
        DamagedArchive: If it is no uncompressed tar file, or not whole; after the members that are.
        ValueError: If a name leads out of it.
    """
    for archive, entry in _entries(stream, "r:" if seekable else "r|", name):
        member = _member(entry, b"")
        if not member.skip and not member.fault:
            member = Member(entry.name, _content(archive, entry, name))
        yield member


class ShardWriter:
    """Writes a tar file, the same bytes for the same members; it appears under its name when it is closed.

    Args:
        target: The file; its folder is made if it is not there. What a stopped run left of it is overwritten.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        short = f".{zlib.crc32(os.fsencode(target.name)):08x}{PARTIAL}"
        self.partial = target.parent / short
        target.parent.mkdir(parents=True, exist_ok=True)
        self.archive = self._guarded(lambda: tarfile.open(self.partial, "w"))  # noqa: SIM115

    def add(self, name: str, content: bytes) -> None:
        """Append a member."""
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._guarded(lambda: self.archive.addfile(member, io.BytesIO(content)))

    def close(self) -> None:
        """Finish the file."""
        self._guarded(self.archive.close)
        os.replace(self.partial, self.target)

    def abandon(self) -> None:
        """Delete what is written; the file does not appear."""
        stream = cast(Any, self.archive.fileobj)
        if not stream.closed:
            stream.close()
        self.partial.unlink(missing_ok=True)

    def _guarded(self, write: Callable[[], Any]) -> Any:
        """Do a part of the writing; what goes wrong names the target."""
        try:
            return write()
        except OSError as error:
            raise type(error)(error.errno, error.strerror or str(error), str(self.target)) from error


def check_member_name(name: str, archive: str) -> None:
    """Refuse a member whose name leads out of its archive.

    Raises:
        ValueError: If it does.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        msg = f"{archive}: the entry {name} leads out of the archive; it is not to be trusted"
        raise ValueError(msg)


class _Header(tarfile.TarInfo):
    """A header whose damage is an error; tarfile takes it for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            msg = "a header is damaged" if len(buf) == tarfile.BLOCKSIZE else "it is cut short"
            raise tarfile.ReadError(msg) from error
        extends = header.type in tarfile.GNU_TYPES + PAX_TYPES and header.type != tarfile.GNUTYPE_SPARSE
        if header.size < 0 or (extends and header.size > LARGEST_HEADER):
            msg = "a header states an impossible size"
            raise tarfile.ReadError(msg)
        return header


PAX_TYPES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)


def _entries(stream: IO[bytes], mode: str, name: str) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Headers of everything but folders; then the end is checked."""
    try:
        archive = tarfile.open(None, mode, stream, tarinfo=_Header, encoding="utf-8")  # type: ignore[call-overload] # noqa: SIM115
    except (OSError, EOFError):
        raise
    except Exception as error:  # a damaged header makes tarfile raise nearly anything
        msg = f"{name}: not an uncompressed tar file, or damaged from its beginning ({error}); get a whole copy of it"
        raise DamagedArchive(msg) from error
    with archive:
        good, count, entry = 0, 0, None
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
                raise DamagedArchive(_damaged(name, good, count, "a header states an impossible size"))
            if not entry.isdir():
                yield archive, entry
            good, count = archive.offset, count + 1
        if trouble := _after_end(cast(IO[bytes], archive.fileobj)):
            raise DamagedArchive(_damaged(name, good, count, trouble))


def _after_end(stream: IO[bytes]) -> str:
    """What is wrong with the bytes after the first of the two blocks of zeros that end a tar file."""
    block = stream.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE or any(block):
        return "its end mark is damaged"
    while rest := stream.read(1 << 16):
        if rest.count(0) < len(rest):
            return "more follows after its end, as where tar files were joined"
    return ""


def _damaged(name: str, good: int, count: int, trouble: str) -> str:
    return f"{name}: damaged after {count} entries, which end at byte {good:,}: {trouble}; get a whole copy of it"


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo, name: str) -> bytes:
    stream = cast(IO[bytes], archive.fileobj)
    stream.seek(entry.offset_data)  # forward, which streams can do
    content = stream.read(entry.size)
    if len(content) < entry.size:
        msg = f"{name}: cut short in the entry {entry.name}; get a whole copy of it"
        raise DamagedArchive(msg)
    return content


def _member(entry: tarfile.TarInfo, source: bytes | Path, written: int = 0) -> Member:
    skip = fault = ""
    if PurePosixPath(entry.name).name.startswith("."):
        skip = HIDDEN
    elif entry.issym() or entry.islnk():
        skip = f"a link to {entry.linkname}"
    elif not entry.isfile() or entry.issparse():
        skip = "neither a file nor a folder, but a special entry"
    elif entry.size > LARGEST_MEMBER:
        fault = f"{entry.size:,} bytes, more than an image has"
    return Member(entry.name, source, entry.offset_data, entry.size, written, skip, fault)


def _file(path: Path, name: str) -> Member:
    if path.name.startswith("."):
        return Member(name, path, skip=HIDDEN)
    try:
        status = path.stat()
    except OSError as error:
        trouble = "a link to nothing" if path.is_symlink() else f"cannot be read ({error.strerror})"
        return Member(name, path, fault=trouble)
    if stat.S_ISDIR(status.st_mode):
        return Member(name, path, skip="a link to a folder; name that folder among the inputs")
    if not stat.S_ISREG(status.st_mode):
        return Member(name, path, skip="not a file, but a pipe, socket or device")
    return Member(name, path, 0, status.st_size, status.st_mtime_ns)
