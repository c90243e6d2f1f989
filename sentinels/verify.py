"""Check of a record against its files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.files import file_digest, read_bytes
from images.headers import read_header
from images.io import open_photo
from images.kinds import UnreadableImage
from images.photo import Photo
from images.transforms.protocol import RGBImage
from images.transforms.views import to_tensor
from sentinels.keys import KeyMaker, fold
from sentinels.reader import Reader, reads_as
from sentinels.record import Record, Sentinel
from sentinels.tells.findings import (
    Collection,
    CopyFinder,
    file_findings,
    key_findings,
    name_findings,
)
from sentinels.view import VIEW_SIDE_PX, retriever_view
from sentinels.word_keys import is_word_key, parse_key, word_distance

MAX_ASPECT_DIFFERENCE = 0.1
"""Largest relative difference of the aspect ratios of a sentinel and its source."""

Level = Literal["error", "warning"]
Faults = Iterator[tuple[Level, str]]
"""Levels and texts of findings."""


@dataclass(frozen=True)
class Finding:
    """A fault of a record.

    Attributes:
        level: An ``error`` spoils the evidence; a ``warning`` weakens it or exposes the sentinel.
        entry: Name of the source, or of the record's file.
        what: Description of the fault.
    """

    level: Level
    entry: str
    what: str


def verify(
    record: Record,
    reader: Reader | None = None,
    distance: int = 2,
    collection: Collection | None = None,
) -> list[Finding]:
    """Check every entry of a record against the files, and look for tells.

    Args:
        record: The record.
        reader: Reads the key of every sentinel; None leaves keys unread.
        distance: Least edit distance of two keys, ignoring case.
        collection: The collection that the sentinels are hidden in; None leaves names unchecked.
    """
    findings = list(_key_findings(record, distance))
    copies = CopyFinder(collection or Collection([]))
    for name, sentinel in record.sentinels.items():
        for level, text in _entry_faults(record, sentinel, reader, copies):
            findings.append(Finding(level, name, text))
    for text in key_findings(record):
        findings.append(Finding("warning", record.file.name, text))
    if collection is not None:
        for name, text in name_findings(record, collection):
            findings.append(Finding("warning", name, text))
    return findings


def _key_findings(record: Record, distance: int) -> Iterator[Finding]:
    """Find keys that are malformed, repeated or too similar."""
    letters = KeyMaker(distance=distance)
    words: list[str] = []
    owners: dict[str, list[str]] = defaultdict(list)
    for name, sentinel in record.sentinels.items():
        key = sentinel.key
        folded = key if is_word_key(key) else fold(key)
        if fault := _form_fault(key):
            yield Finding("error", name, fault)
        elif owners[folded]:
            text = f"the key {key} is also the key of {owners[folded][0]}, whatever the case"
            yield Finding("error", name, text)
        elif near := _near_key(key, letters, words, distance):
            what = "words" if is_word_key(key) else "edits"
            yield Finding(
                "warning", name, f"the key {key} is less than {distance} {what} from {near}"
            )
        owners[folded].append(name)
        if is_word_key(key):
            words.append(key)
        else:
            letters.register([key])


def _form_fault(key: str) -> str:
    """Describe what is wrong with the form of a key; empty for a good one."""
    if is_word_key(key):
        try:
            parse_key(key)
        except ValueError as error:
            return str(error)
        return ""
    if len(fold(key)) < 3 or len(fold(key)) != len(key):
        return f"the key '{key}' must be at least three letters and nothing else"
    return ""


def _near_key(key: str, letters: KeyMaker, words: list[str], distance: int) -> str | None:
    """Return an earlier key of the same kind that is too near, or None."""
    if is_word_key(key):
        return next((other for other in words if word_distance(key, other) < distance), None)
    return letters.find_near(key)


def _entry_faults(
    record: Record, sentinel: Sentinel, reader: Reader | None, copies: CopyFinder
) -> Faults:
    """Check the files of an entry, and read its key."""
    path = record.locate(sentinel.generated)
    source = record.locate(sentinel.original)
    if source is None:
        yield "warning", f"the source {sentinel.original} is not there"
    if path is None:
        yield "error", f"the sentinel {sentinel.generated} is not there"
        return
    try:
        photo = open_photo(path).on_white()
    except UnreadableImage as error:
        yield "error", str(error)
        return
    yield from _name_faults(path, source if sentinel.replaces_source else None)
    if source is not None:
        yield from _source_faults(sentinel, path, source, photo.rgb, copies)
    digest = sentinel.provenance.get("sentinel_sha256")
    if digest and file_digest(path) != digest:
        yield "error", f"{path.name} is not the file that was planted: its sha256 differs"
    if reader is not None and not is_word_key(sentinel.key):
        yield from _legibility_faults(sentinel.key, path.name, photo, reader)


def _legibility_faults(key: str, name: str, photo: Photo, reader: Reader) -> Faults:
    """Read a key in the whole image, and in the center square that retrievers see."""
    (text,) = reader(photo.tensor().unsqueeze(0))
    if not reads_as(text, key):
        yield "error", f"the key {key} is not legible in {name}: read as '{text}'"
        return
    (text,) = reader(to_tensor(retriever_view(photo)).unsqueeze(0))
    if not reads_as(text, key):
        yield (
            "warning",
            f"the key {key} of {name} is not legible in the center square of {VIEW_SIDE_PX} pixels "
            f"that CLIP sees: read as '{text}'",
        )


def _name_faults(path: Path, source: Path | None) -> Faults:
    """Check a sentinel's file name for signs that give it away.

    Args:
        path: The sentinel.
        source: The source that it replaces, whose own signs are none; None if both are published.
    """
    codec = _foreign_codec(path)
    if codec and (source is None or codec != _foreign_codec(source)):
        yield (
            "warning",
            f"{path.name} holds {codec} data under another suffix: "
            "a search for such files finds the sentinels",
        )
    if path.name.startswith("sentinel_"):
        yield (
            "warning",
            f"{path.name} says in its name that it is a sentinel and can be deleted by name; "
            "plant with neutral names",
        )


def _source_faults(
    sentinel: Sentinel, path: Path, source: Path, rgb: RGBImage, copies: CopyFinder
) -> Faults:
    """Compare a sentinel (H, W, 3) with its source."""
    try:
        source_rgb = open_photo(source).on_white().rgb
    except UnreadableImage as error:
        yield "warning", str(error)
        return
    size, source_size = rgb.shape[1::-1], source_rgb.shape[1::-1]
    sizes = f"{path.name} is {_size_text(size)}, its source {_size_text(source_size)}"
    aspect_ratio = size[0] / size[1]
    if abs(aspect_ratio / (source_size[0] / source_size[1]) - 1) > MAX_ASPECT_DIFFERENCE:
        yield "warning", f"{sizes}: of another shape"
    elif size != source_size:
        yield "warning", f"{sizes}: of another size"
    digest = sentinel.provenance.get("source_sha256")
    if digest and file_digest(source) != digest:
        yield "warning", f"the source {source.name} has changed since: its sha256 differs"
    texts = list(file_findings(path, source))
    if not sentinel.replaces_source:
        texts += copies.findings(path.name, rgb, source_rgb)
    for text in texts:
        yield "warning", text
    if sentinel.description:
        yield from _description_faults(sentinel, source_size)


def _description_faults(sentinel: Sentinel, source_size: tuple[int, ...]) -> Faults:
    """Check the form of a description, and the size that it states."""
    described = sentinel.described
    if described is None:
        yield "warning", "the description is not a JSON object"
        return
    try:
        resolution = described["technical"]["resolution"]
        stated = (int(resolution["width"]), int(resolution["height"]))
    except (KeyError, TypeError, ValueError):
        return
    if stated != tuple(source_size):
        swapped = ", its sides exchanged" if stated == tuple(source_size)[::-1] else ""
        yield (
            "warning",
            f"the description gives the source's size as {_size_text(stated)}, "
            f"it is {_size_text(source_size)}{swapped}",
        )


def _size_text(size: tuple[int, ...]) -> str:
    """Format a size (width, height)."""
    return f"{size[0]}x{size[1]}"


def _foreign_codec(path: Path) -> str:
    """Return the codec of a file whose suffix names another; empty if it fits or is unknown."""
    header = read_header(read_bytes(path))
    suffix = path.suffix.lower().lstrip(".")
    named = {"jpeg": "jpg", "jpe": "jpg", "jfif": "jpg", "tiff": "tif", "heif": "heic"}
    if header is None or header.codec == named.get(suffix, suffix):
        return ""
    return header.codec
