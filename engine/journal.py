"""Journals: one JSON line for each input that a job has processed."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.files import open_for_reading, read_bytes, write_text

JOURNAL = "journal.jsonl"

CHECKSUM_KEY = "crc32"
"""Key of a line's checksum."""


@dataclass(frozen=True)
class Entry:
    """Outcome for one input.

    Attributes:
        name: Name of the input in the job.
        size: Size of the input in bytes.
        mtime_ns: Modification time of the input, in nanoseconds since the epoch.
        sha256: Hexadecimal hash of the input's bytes; empty if an earlier version stored none.
        row: Row of the result, plain values; None after an error.
        error: Error message; empty on success.
    """

    name: str
    size: int
    mtime_ns: int
    sha256: str
    row: dict[str, Any] | None = None
    error: str = ""


class Journal:
    """Append-only file of entries in a job's folder.

    The job adds an entry as soon as the input's result is saved.

    Args:
        folder: The job's folder.
        rank: Rank of this process; each process writes a separate file.
    """

    def __init__(self, folder: Path, rank: int = 0) -> None:
        self.file = folder / (JOURNAL if rank == 0 else f"journal-{rank}.jsonl")
        self.stream = self.file.open("ab")
        if self.file.stat().st_size and not _ends_with_newline(self.file):
            # end the incomplete line of a killed run
            self.stream.write(b"\n")

    def add(self, entry: Entry) -> None:
        """Append an entry, and pass it to the operating system before returning."""
        self.stream.write(_line(entry).encode() + b"\n")
        self.stream.flush()

    def close(self) -> None:
        self.stream.close()


def read_journal(folder: Path) -> dict[str, Entry]:
    """Read the newest entry of each input from the journals of all processes.

    Incomplete and damaged lines are skipped.
    """
    entries: dict[str, Entry] = {}
    for file in [*sorted(folder.glob("journal-*.jsonl")), folder / JOURNAL]:
        lines = read_bytes(file).split(b"\n") if file.is_file() else []
        for line in lines:
            entry = _parse(line)
            if entry is not None:
                entries[entry.name] = entry
    return entries


def join_journals(folder: Path, entries: Iterable[Entry]) -> None:
    """Replace the journals of all processes by one with these entries."""
    write_text(folder / JOURNAL, "".join(_line(entry) + "\n" for entry in entries))
    for file in folder.glob("journal-*.jsonl"):
        file.unlink()


def _line(entry: Entry) -> str:
    """Format an entry as a line of JSON with its checksum.

    A damaged line can be valid JSON; the checksum detects it.
    """
    text = json.dumps(asdict(entry), default=str)
    return f'{text[:-1]}, "{CHECKSUM_KEY}": {_checksum(text)}}}'


def _parse(line: bytes) -> Entry | None:
    """Parse a line; None if it is incomplete or damaged."""
    try:
        value = json.loads(line)
        return msgspec.convert(value, Entry) if _pop_and_check(value) else None
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None


def _pop_and_check(value: Any) -> bool:
    """Remove a line's checksum, and return True if it matches.

    Lines of earlier versions have no checksum and pass.
    """
    recorded = value.pop(CHECKSUM_KEY, None) if isinstance(value, dict) else None
    return recorded is None or recorded == _checksum(json.dumps(value))


def _checksum(text: str) -> int:
    """Return the CRC-32 of a text."""
    return zlib.crc32(text.encode())


def _ends_with_newline(file: Path) -> bool:
    """Return True if the last byte of a file is a line feed."""
    with open_for_reading(file) as stream:
        stream.seek(-1, io.SEEK_END)
        return stream.read(1) == b"\n"
