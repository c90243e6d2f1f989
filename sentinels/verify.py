"""``python -m sentinels verify``: is a record true of its files?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.files import file_digest, read_bytes
from images.headers import read_header
from images.io import UnreadableImage, open_photo
from sentinels.keys import KeyMaker, fold
from sentinels.reader import Reader, reads_as
from sentinels.record import Record, Sentinel

ASPECT = 0.1
"""Relative difference of aspect ratios from which a sentinel does not look like its source's copy."""


@dataclass(frozen=True)
class Finding:
    """Something wrong: an ``error`` spoils evidence or is missing, a ``warning`` weakens or betrays it."""

    level: Literal["error", "warning"]
    entry: str
    what: str


def verify(record: Record, reader: Reader | None = None, distance: int = 2) -> list[Finding]:
    """Check every entry of a record against the files, and the keys against each other.

    Args:
        record: The record.
        reader: Reads the key off every sentinel; not checked if None.
        distance: Edits by which two keys must differ at least, whatever their case.
    """
    findings = [*_keys(record, distance)]
    for name, sentinel in record.sentinels.items():
        findings += [Finding(level, name, what) for level, what in _entry(record, sentinel, reader)]
    return findings


def _keys(record: Record, distance: int) -> Iterator[Finding]:
    maker = KeyMaker(distance=distance)
    owners: dict[str, list[str]] = defaultdict(list)
    for name, sentinel in record.sentinels.items():
        folded = fold(sentinel.key)
        if len(folded) < 3 or len(folded) != len(sentinel.key):
            yield Finding(
                "error",
                name,
                f"the key '{sentinel.key}' is not at least three letters and nothing else",
            )
        elif owners[folded]:
            yield Finding(
                "error",
                name,
                f"the key {sentinel.key} is that of {owners[folded][0]}, too, whatever the case of its letters",
            )
        elif near := maker.too_near(sentinel.key):
            yield Finding(
                "warning", name, f"the key {sentinel.key} is less than {distance} edits from {near}"
            )
        owners[folded].append(name)
        maker.know([sentinel.key])


def _entry(
    record: Record, sentinel: Sentinel, reader: Reader | None
) -> Iterator[tuple[Literal["error", "warning"], str]]:
    path, source = record.locate(sentinel.generated), record.locate(sentinel.original)
    if source is None:
        yield "warning", f"the source {sentinel.original} is not there"
    if path is None:
        yield "error", f"the sentinel {sentinel.generated} is not there"
        return
    try:
        photo = open_photo(path)
    except UnreadableImage as error:
        yield "error", str(error)
        return
    header = read_header(read_bytes(path))
    if header is not None and header.codec != _codec(path):
        yield (
            "warning",
            f"{path.name} holds {header.codec} data, whatever its name says: whoever looks for such files finds the sentinels",
        )
    if path.name.startswith("sentinel_"):
        yield (
            "warning",
            f"{path.name} says in its name that it is a sentinel: delete by name is all it takes; plant with neutral names",
        )
    height, width = photo.rgb.shape[:2]
    if source is not None:
        yield from _source(sentinel, path, source, (width, height))
    if (known := sentinel.provenance.get("sentinel_sha256")) and file_digest(path) != known:
        yield "error", f"{path.name} is not the file that was planted: its sha256 differs"
    if reader is not None and not reads_as(
        seen := reader(photo.tensor().unsqueeze(0))[0], sentinel.key
    ):
        yield "error", f"the key {sentinel.key} is not legible in {path.name}: read as '{seen}'"


def _source(
    sentinel: Sentinel, path: Path, source: Path, size: tuple[int, int]
) -> Iterator[tuple[Literal["error", "warning"], str]]:
    try:
        original = open_photo(source).rgb.shape[1::-1]
    except UnreadableImage as error:
        yield "warning", str(error)
        return
    if abs(size[0] / size[1] / (original[0] / original[1]) - 1) > ASPECT:
        yield "warning", f"{path.name} is {_by(size)}, its source {_by(original)}: of another shape"
    elif size != original:
        yield "warning", f"{path.name} is {_by(size)}, its source {_by(original)}: of another size"
    if (known := sentinel.provenance.get("source_sha256")) and file_digest(source) != known:
        yield "warning", f"the source {source.name} has changed since: its sha256 differs"
    if sentinel.description:
        yield from _description(sentinel, original)


def _description(
    sentinel: Sentinel, original: tuple[int, ...]
) -> Iterator[tuple[Literal["warning"], str]]:
    described = sentinel.described
    if described is None:
        yield "warning", "the description is not the JSON object that was asked for"
        return
    try:
        said = described["technical"]["resolution"]
        claimed = (int(said["width"]), int(said["height"]))
    except (KeyError, TypeError, ValueError):
        return
    if claimed != tuple(original):
        swapped = ", its sides exchanged" if claimed == tuple(original)[::-1] else ""
        yield (
            "warning",
            f"the description gives the source's size as {_by(claimed)}, it is {_by(original)}{swapped}",
        )


def _by(size: tuple[int, ...]) -> str:
    return f"{size[0]}x{size[1]}"


def _codec(path: Path) -> str:
    ending = path.suffix.lower().lstrip(".")
    return {"jpeg": "jpg", "tiff": "tif"}.get(ending, ending)
