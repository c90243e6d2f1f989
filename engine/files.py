"""Writing files whole or not at all, hashing them, and locking folders."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from itertools import count
from pathlib import Path

PARTIAL = ".partial"
"""Ending of files that are being written; what a killed run leaves of them is never read."""

LOCK = ".lock"
"""File that a run holds in its output folder while it lasts."""

_numbers = count()


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Give a place to write a file to; move it to its target when the block ends, or delete it when the block fails.

    The place has a short name of its own, so that a target's name may be as long as the file system allows.

    Args:
        target: The file; its folder is made if it is not there.

    Yields:
        The path to write to, in the target's folder.

    Raises:
        OSError: If it cannot be written; the message names the target.
    """
    partial = (
        target.parent
        / f"{partial_stem(target)}-{os.getpid()}-{threading.get_ident()}-{next(_numbers)}{PARTIAL}"
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, target)
    except OSError as error:
        if error.filename is None or str(error.filename) == str(partial):
            raise type(error)(error.errno, error.strerror or str(error), str(target)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def is_partial(path: Path) -> bool:
    """Whether a file is one that :func:`atomic_write` or a shard's writer began and did not finish."""
    return path.name.startswith(".") and path.name.endswith(PARTIAL)


def remove_partials(folder: Path) -> None:
    """Delete unfinished files that killed runs left below a folder that this run keeps; not in folders that another one keeps."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not Path(place, name, LOCK).exists()]
        for path in (Path(place, name) for name in files):
            if is_partial(path):
                path.unlink(missing_ok=True)


def remove_partials_of(targets: Iterable[Path]) -> None:
    """Delete what killed runs left of files that only this run writes."""
    for target in targets:
        for path in target.parent.glob(f"{partial_stem(target)}-*{PARTIAL}"):
            path.unlink(missing_ok=True)


def partial_stem(target: Path) -> str:
    """Begin the names of a target's unfinished files; short, whatever the target's name is."""
    return f".{zlib.crc32(os.fsencode(target.name)):08x}"


def write_bytes(target: Path, content: bytes) -> None:
    """Write a file, whole or not at all; errors as :func:`atomic_write`."""
    with atomic_write(target) as partial:
        partial.write_bytes(content)


def write_text(target: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all; names that are not valid text are kept byte by byte."""
    write_bytes(target, text.encode("utf-8", "surrogateescape"))


@contextmanager
def naming_errors(path: Path | str) -> Iterator[None]:
    """Name the file in errors of its disk, which Python does only where it cannot be opened.

    Raises:
        OSError: Such an error, with the file's name.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise type(error)(error.errno, error.strerror, os.fspath(path)) from error


def refuse_special(path: Path) -> None:
    """Refuse a pipe, a socket or a device, which may never end, where a file is wanted.

    Raises:
        OSError: If it is one, or cannot be asked what it is.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "not a file, but a pipe, socket or device", str(path))


@contextmanager
def open_for_reading(path: Path) -> Iterator[BufferedReader]:
    """Open a file to be read; errors name it, and those of :func:`refuse_special` are raised."""
    refuse_special(path)
    with naming_errors(path), path.open("rb") as stream:
        yield stream


def read_bytes(path: Path) -> bytes:
    """The bytes of a file; errors name it."""
    with naming_errors(path):
        return path.read_bytes()


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, line ends as they are; errors of the disk name it.

    Raises:
        ValueError: If it is not UTF-8; the message names the file.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{path}: not text in UTF-8 (byte {error.start}); save it as such"
        raise ValueError(msg) from error


def name_bytes(text: str) -> bytes:
    """The bytes of a file name, or of text with one in it, for hashes and seeds; names need not be valid text."""
    return text.encode("utf-8", "surrogateescape")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file.

    Only line feeds end a line, as names may hold the other line ends of Unicode. Bytes that are not valid text are kept.
    """
    lines = read_bytes(path).decode("utf-8", "surrogateescape").split("\n")
    return lines if lines[-1] else lines[:-1]


def file_digest(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with open_for_reading(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_digest(path: Path, expected: object, remedy: str) -> None:
    """Compare a file with the sha256 that was recorded when it was written; nothing recorded is no fault.

    Args:
        path: The file.
        expected: Hexadecimal sha256; None if nobody recorded it.
        remedy: What to do about a damaged file, for the message.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is another; the message names the file.
    """
    if not path.is_file():
        msg = f"{path}: no such file; {remedy}"
        raise FileNotFoundError(msg)
    if expected is not None and file_digest(path) != expected:
        msg = f"{path} is damaged or was replaced: its sha256 is not the recorded one; {remedy}"
        raise ValueError(msg)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a folder for one run; the lock ends with the process, however it ends.

    Raises:
        ValueError: If another run is at work in it.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    place = folder / LOCK
    lock = FileLock(place)
    try:
        lock.acquire(timeout=0)
        while not place.exists():  # the run that held it ended just now, and took the file away
            lock.release()
            lock.acquire(timeout=0)
    except Timeout as error:
        msg = f"{folder}: another run is writing into this folder; wait for it to end, or choose another folder"
        raise ValueError(msg) from error
    try:
        yield
    finally:
        place.unlink(missing_ok=True)
        lock.release()
