"""Journals: what a job has done so far, a line for each input."""

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

SUM = "crc32"
"""Key of a line's sum."""


@dataclass(frozen=True)
class Entry:
    """The outcome for one input.

    Attributes:
        name: The input's name in the job.
        size: Bytes of the input.
        mtime_ns: When the input was last written.
        sha256: Of the input's bytes; empty if an earlier version did not keep it.
        row: What the job says of the result; None where it failed.
        error: Why it failed; empty where it did not.
    """

    name: str
    size: int
    mtime_ns: int
    sha256: str
    row: dict[str, Any] | None = None
    error: str = ""


class Journal:
    """Appends entries to a file of a job's folder, each as soon as its result is whole.

    Args:
        folder: The job's folder.
        rank: Of this process; each process has a file of its own.
    """

    def __init__(self, folder: Path, rank: int = 0) -> None:
        self.file = folder / (JOURNAL if rank == 0 else f"journal-{rank}.jsonl")
        self.stream = self.file.open("ab")
        if self.file.stat().st_size and not _ends_whole(self.file):
            self.stream.write(b"\n")  # after a line that was cut short

    def add(self, entry: Entry) -> None:
        """Append an entry; it is on its way to the disk when this returns."""
        self.stream.write(_line(entry).encode() + b"\n")
        self.stream.flush()

    def close(self) -> None:
        self.stream.close()


def read_journal(folder: Path) -> dict[str, Entry]:
    """Entries of all processes by input, the newest of each; lines that were cut short or are damaged are left out."""
    entries: dict[str, Entry] = {}
    for file in [*sorted(folder.glob("journal-*.jsonl")), folder / JOURNAL]:
        for line in read_bytes(file).split(b"\n") if file.is_file() else []:
            try:
                value = json.loads(line)
                if not _is_whole(value):
                    continue
                entry = msgspec.convert(value, Entry)
            except (ValueError, RecursionError, msgspec.MsgspecError):
                continue
            entries[entry.name] = entry
    return entries


def join_journals(folder: Path, entries: Iterable[Entry]) -> None:
    """Put one journal with these entries in the place of those of all processes."""
    write_text(folder / JOURNAL, "".join(_line(entry) + "\n" for entry in entries))
    for file in folder.glob("journal-*.jsonl"):
        file.unlink()


def _line(entry: Entry) -> str:
    """Write an entry with a sum over it, as damage to a line can leave it well-formed."""
    text = json.dumps(asdict(entry), default=str)
    return f'{text[:-1]}, "{SUM}": {_sum(text)}}}'


def _is_whole(value: Any) -> bool:
    """Whether an entry is as it was written; takes the sum out. Earlier versions kept none."""
    said = value.pop(SUM, None) if isinstance(value, dict) else None
    return said is None or said == _sum(json.dumps(value))


def _sum(text: str) -> int:
    return zlib.crc32(text.encode())


def _ends_whole(file: Path) -> bool:
    with open_for_reading(file) as stream:
        stream.seek(-1, io.SEEK_END)
        return stream.read(1) == b"\n"
