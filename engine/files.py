"""Atomic file writing, reading with named errors, hashing, and folder locks."""

from __future__ import annotations

import codecs
import errno
import hashlib
import os
import stat
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from itertools import count
from pathlib import Path

PARTIAL = ".partial"
"""Suffix of unfinished files; one that a killed run left is never read."""

LOCK = ".lock"
"""Name of the lock file in the output folder of a run."""

_numbers = count()


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Write a file to a temporary path, then move it to its target.

    A block that fails leaves no file. The temporary name is short, so the target's name may be
    as long as the file system allows.

    Args:
        target: The file; its folder is created if needed.

    Yields:
        Temporary path in the target's folder.

    Raises:
        OSError: If the file cannot be written; the message names the target.
    """
    unique = f"{os.getpid()}-{threading.get_ident()}-{next(_numbers)}"
    partial = target.parent / f"{partial_stem(target)}-{unique}{PARTIAL}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, target)
    except OSError as error:
        if error.filename is None or str(error.filename) == str(partial):
            raise type(error)(error.errno, error.strerror or str(error), str(target)) from error
        raise
    finally:
        with suppress(OSError):  # a read-only file system refuses even this
            partial.unlink(missing_ok=True)


def refuse_existing(target: Path) -> None:
    """Refuse a target that is there already.

    Raises:
        ValueError: If it exists.
    """
    if target.exists():
        msg = f"{target} exists already: choose another name or delete it"
        raise ValueError(msg)


def refuse_file(folder: Path) -> None:
    """Refuse an output folder that is a file.

    Raises:
        ValueError: If it is.
    """
    if folder.exists() and not folder.is_dir():
        msg = f"{folder}: a file, but the results need a folder; choose another name"
        raise ValueError(msg)


def is_partial(path: Path) -> bool:
    """Return True if :func:`atomic_write` or a shard writer left the file unfinished."""
    return path.name.startswith(".") and path.name.endswith(PARTIAL)


def remove_partials(folder: Path) -> None:
    """Delete unfinished files of killed runs below a folder.

    Subfolders that another run has locked are skipped.
    """
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not Path(parent, name, LOCK).exists()]
        for name in files:
            path = Path(parent, name)
            if is_partial(path):
                path.unlink(missing_ok=True)


def remove_partials_of(targets: Iterable[Path]) -> None:
    """Delete the unfinished versions of files that only this run writes."""
    for target in targets:
        for path in target.parent.glob(f"{partial_stem(target)}-*{PARTIAL}"):
            path.unlink(missing_ok=True)


def partial_stem(target: Path) -> str:
    """Return the common prefix of a target's unfinished file names: a dot and 8 hex digits."""
    return f".{zlib.crc32(os.fsencode(target.name)):08x}"


@contextmanager
def private_files() -> Iterator[None]:
    """Let only the user read files and folders that a block creates, from their first byte on.

    The setting is the whole process's. It has no effect on Windows.
    """
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def write_bytes(target: Path, content: bytes) -> None:
    """Write a file atomically; see :func:`atomic_write`."""
    with atomic_write(target) as partial:
        partial.write_bytes(content)


def write_text(target: Path, text: str) -> None:
    """Write UTF-8 text atomically.

    File names in the text that are not valid UTF-8 keep their bytes.
    """
    write_bytes(target, text.encode("utf-8", "surrogateescape"))


@contextmanager
def naming_errors(path: Path | str) -> Iterator[None]:
    """Add the file's name to I/O errors of a block.

    Python names the file only in errors of opening it.

    Raises:
        OSError: The I/O error, with the file's name.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise type(error)(error.errno, error.strerror, os.fspath(path)) from error


def refuse_special(path: Path) -> None:
    """Refuse a pipe, socket or device, whose data may never end.

    Raises:
        OSError: If the path is one of these, or cannot be accessed.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "not a file, but a pipe, socket or device", str(path))


@contextmanager
def open_for_reading(path: Path) -> Iterator[BufferedReader]:
    """Open a file for reading.

    Raises:
        OSError: If reading fails, or the path is a pipe, socket or device; the message names it.
    """
    refuse_special(path)
    with naming_errors(path), path.open("rb") as stream:
        yield stream


def read_bytes(path: Path) -> bytes:
    """Read the bytes of a file; errors are those of :func:`open_for_reading`."""
    with open_for_reading(path) as stream:
        return stream.read()


def read_text(path: Path) -> str:
    """Read a UTF-8 text file with its line ends unchanged; I/O errors name the file.

    Raises:
        ValueError: If the file is not UTF-8; the message names it.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{path}: not text in UTF-8 (byte {error.start}); save it as UTF-8"
        raise ValueError(msg) from error


def name_bytes(text: str) -> bytes:
    """Encode a file name, or text with file names, for hashes and seeds.

    File names need not be valid UTF-8.
    """
    return text.encode("utf-8", "surrogateescape")


def decode_names(content: bytes, name: str) -> str:
    """Decode text with file names; bytes that are not valid UTF-8 are kept.

    Args:
        content: The bytes of the text.
        name: Name of the text in the error message.

    Raises:
        ValueError: If it begins with the mark of UTF-16.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        msg = f"{name}: text in UTF-16; save it as UTF-8"
        raise ValueError(msg)
    return content.decode("utf-8", "surrogateescape")


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file that lists file names.

    Only line feeds end a line, as file names may contain Unicode's other line separators. Bytes
    that are not valid UTF-8 are kept.

    Raises:
        ValueError: If the file is UTF-16.
    """
    lines = decode_names(read_bytes(path), str(path)).split("\n")
    return lines if lines[-1] else lines[:-1]


def file_digest(path: Path) -> str:
    """Compute the hexadecimal sha256 of a file."""
    with open_for_reading(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_digest(path: Path, expected: object, remedy: str) -> None:
    """Compare a file with its recorded sha256.

    Args:
        path: The file.
        expected: Hexadecimal sha256; None if none was recorded, which passes.
        remedy: Advice for a damaged file; the last part of the error message.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the hash differs; the message names the file.
    """
    if not path.is_file():
        msg = f"{path}: no such file; {remedy}"
        raise FileNotFoundError(msg)
    if expected is not None and file_digest(path) != expected:
        msg = f"{path} is damaged or was replaced: its sha256 is not the recorded one; {remedy}"
        raise ValueError(msg)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder for one run; the lock ends with the process.

    Raises:
        ValueError: If another run holds the lock, or the folder is a file.
    """
    from filelock import FileLock, Timeout

    refuse_file(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock_file = folder / LOCK
    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=0)
        # lock again if the earlier holder has just deleted the file
        while not lock_file.exists():
            lock.release()
            lock.acquire(timeout=0)
    except Timeout as error:
        msg = (
            f"{folder}: another run is writing into this folder; "
            "wait for it to end, or choose another folder"
        )
        raise ValueError(msg) from error
    try:
        yield
    finally:
        lock_file.unlink(missing_ok=True)
        lock.release()
