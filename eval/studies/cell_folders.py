"""Folders of a matrix: its claim, its cells, and the protected images that they share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.devices import is_first_process
from engine.files import LOCK, is_partial, locked, remove_partials, write_text
from engine.journal import read_journal
from engine.manifest import check_claim, claim, read_manifest
from eval.studies.protection_job import PERSON
from eval.studies.rows import Cell

CELLS, PROTECTED = "cells", "protected"
"""Folders of the cells' studies, and of the protected images that they share."""


def cell_folder(output: Path, cell: Cell) -> Path:
    """Folder of a cell's study in that of the matrix."""
    return output / CELLS / cell[0] / cell[1]


@contextmanager
def owned(output: Path, command: str, settings: dict[str, Any]) -> Iterator[None]:
    """Lock and claim the folder of all cells, and remove partial files (first process only).

    The record of finished cells stays until :func:`eval.studies.cells.record_cells` replaces it.

    Args:
        output: The folder.
        command: Command of the run.
        settings: Settings that all cells share.

    Raises:
        ValueError: If the folder belongs to another command or to one with other settings, holds
            files that no run wrote, or another run is at work in it.
    """
    if not is_first_process():
        yield
        return
    claimed = (output, command, settings)
    with locked(output):
        # A folder without settings is left to the claims of its cells.
        if not _is_of_earlier_version(output, command) and not check_claim(*claimed):
            claim(*claimed)
        remove_partials(output)
        _record_people(output)
        yield


def _is_of_earlier_version(output: Path, command: str) -> bool:
    """Return True for a matrix of an earlier version, which recorded no settings of its own.

    A matrix that was stopped in its first cell has the manifests of its protected images alone.
    """
    manifest = read_manifest(output)
    if manifest is not None:
        return manifest.get("command") == command and "settings" not in manifest
    names = {path.name for path in output.iterdir() if path.name != LOCK and not is_partial(path)}
    arms = [read_manifest(folder) for folder in output.glob(f"{PROTECTED}/*")]
    is_one = any(arm is not None and arm.get("command") == command for arm in arms)
    return is_one and names <= {CELLS, PROTECTED}


def _record_people(output: Path) -> None:
    """Record whose images an earlier version's protected images were made of.

    It kept no hash beside them, but the journals of the cells have those of the people. Where these
    do not have one and the same hash, an empty one is recorded: the images are made again.
    """
    known: dict[str, set[str]] = {}
    for cell in output.glob(f"{CELLS}/*/*"):
        for entry in read_journal(cell).values():
            if entry.row is not None:
                known.setdefault(entry.name, set()).add(entry.sha256)
    for folder in output.glob(f"{PROTECTED}/*/*"):
        if folder.is_dir() and not (folder / PERSON).is_file():
            hashes = known.get(folder.name, set())
            write_text(folder / PERSON, "".join(hashes) if len(hashes) == 1 else "")
