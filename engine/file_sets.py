"""Files of a folder that change together: a killed run leaves all of the old ones or all of the new ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from engine.files import atomic_write, file_digest, write_text

NEXT = ".next"
"""Ending of new files until the record names them."""


def write_set(
    folder: Path,
    files: Mapping[str, Callable[[Path], None]],
    record: str,
    text: Callable[[dict[str, str]], str],
) -> None:
    """Write several files and the record of their sha256, all or none.

    The new files lie beside the old ones until the record is written; from then on they count.

    Args:
        folder: The folder.
        files: What writes each file, by its name there.
        record: Name of the record.
        text: From the files' sha256 to the record's text.

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
    """Bring new files into their places, which a killed run may have left beside them.

    Args:
        folder: The folder.
        sums: The sha256 of its files, as the record has them.
    """
    for name, expected in sums.items():
        staged = folder / (name + NEXT)
        if Path(name).name == name and staged.is_file() and file_digest(staged) == expected:
            os.replace(staged, folder / name)
