"""Atomic replacement of several files of a folder together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from engine.files import atomic_write, file_digest, write_text

NEXT = ".next"
"""Suffix of staged files until the record names them."""


def write_set(
    folder: Path,
    files: Mapping[str, Callable[[Path], None]],
    record: str,
    text: Callable[[dict[str, str]], str],
) -> None:
    """Write several files and the record of their sha256, all or none.

    The new files are staged beside the old ones. Writing the record makes them valid, so a killed
    run leaves all of the old files or all of the new ones.

    Args:
        folder: The folder.
        files: Function that writes each file, by file name.
        record: File name of the record.
        text: Function from the files' sha256, by file name, to the text of the record.

    Raises:
        OSError: If a file cannot be written; the message names it.
    """
    sums = {}
    for name, write in files.items():
        staged = folder / (name + NEXT)
        with atomic_write(staged) as partial:
            write(partial)
        sums[name] = file_digest(staged)
    write_text(folder / record, text(sums))
    move_staged_files(folder, sums)


def move_staged_files(folder: Path, sums: Mapping[str, str]) -> None:
    """Move staged files to their final names, also those that a killed run left.

    Args:
        folder: The folder.
        sums: The recorded sha256 of each file, by file name.
    """
    for name, expected in sums.items():
        staged = folder / (name + NEXT)
        if Path(name).name == name and staged.is_file() and file_digest(staged) == expected:
            os.replace(staged, folder / name)
