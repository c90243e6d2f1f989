"""Aesthetic scores: loading, joining by path, per-class summaries."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from torch import Tensor

from checkpoints.pickles import is_zipped
from datamodules.fake2m.annotations import PathTable, split_row
from engine.pages.charts import density_points
from images.io import decode_photo
from images.kinds import UnreadableImage
from images.photo import Photo
from images.samples import read_samples

Scorer = Callable[[Tensor], Tensor]
"""Function from images, (B, 3, H, W) in [0, 1], to scores, (B,); higher is better."""

TABLE_SUFFIXES = (".csv", ".tsv", ".txt")

MAX_TABLE_BYTES = 1 << 30
"""Largest total size of an archive's tables, unpacked."""


def read_aesthetics(file: Path) -> PathTable[float]:
    """Read aesthetic scores by path.

    The file is a table, or a zip archive of tables. Each row holds a path and a score. A row
    without a number is a header.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no scores, or an archive is damaged or too large.
    """
    if not file.is_file():
        msg = f"{file}: no such file of aesthetic scores"
        raise FileNotFoundError(msg)
    scores: PathTable[float] = PathTable()
    for folder, text in _read_tables(file):
        for line in text.splitlines():
            path, value = split_row(line)
            try:
                score = float(value)
            except ValueError:
                continue
            if path and math.isfinite(score):
                scores.add(path if "/" in path or not folder else f"{folder}/{path}", score)
    if not scores:
        msg = f"{file}: no rows with a path and a score in it"
        raise ValueError(msg)
    return scores


def _read_tables(file: Path) -> list[tuple[str, str]]:
    """Read the folder name and text of each table.

    Several tables of an archive are named after their images' folders; otherwise the name is empty.
    """
    if not is_zipped(file):
        return [("", file.read_text(errors="replace"))]
    try:
        with zipfile.ZipFile(file) as archive:
            members = _table_members(archive)
            if sum(member.file_size for member in members) > MAX_TABLE_BYTES:
                msg = (
                    f"{file}: its tables are larger than {MAX_TABLE_BYTES >> 20} MB; "
                    "unpack the one you need and give that"
                )
                raise ValueError(msg)
            tables = []
            for member in members:
                folder = PurePosixPath(member.filename).stem if len(members) > 1 else ""
                tables.append((folder, archive.read(member).decode(errors="replace")))
            return tables
    except (zipfile.BadZipFile, RuntimeError) as error:
        msg = f"{file}: damaged or locked archive ({error}); get it again"
        raise ValueError(msg) from error


def _table_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """List the tables of an archive."""
    members = []
    for member in archive.infolist():
        if PurePosixPath(member.filename).suffix.lower() in TABLE_SUFFIXES:
            members.append(member)
    return members


def join(records: Sequence[dict[str, Any]], scores: PathTable[float]) -> None:
    """Add ``aesthetic`` to every record whose image has a score."""
    for record in records:
        row = scores.find(record["source_path"])
        if row is not None:
            record["aesthetic"] = row[1]


def open_images(
    records: Sequence[dict[str, Any]],
) -> Iterator[tuple[dict[str, Any], Photo | UnreadableImage]]:
    """Open the image of each record.

    Yields:
        The record, and its photo or why it is damaged: the message names shard and sample.
    """
    samples = {}
    for shard in {record["shard"] for record in records}:
        samples[shard] = {sample.key: sample for sample in read_samples(shard)}
    for record in records:
        image = samples[record["shard"]][record["key"]].image
        try:
            photo = decode_photo(io.BytesIO(image.read()), f"{record['shard']}, {image.name}")
        except UnreadableImage as error:
            yield record, error
        else:
            yield record, photo


def compute(records: Sequence[dict[str, Any]], scorer: Scorer) -> list[str]:
    """Compute ``aesthetic`` for every record with a readable image.

    Returns:
        Reasons why images are unreadable.
    """
    unreadable = []
    for record, photo in open_images(records):
        if isinstance(photo, UnreadableImage):
            unreadable.append(str(photo))
        else:
            record["aesthetic"] = float(scorer(photo.on_white().tensor().unsqueeze(0))[0])
    return unreadable


def summary(
    records: Sequence[dict[str, Any]], classes: dict[int, str]
) -> dict[str, dict[str, float]]:
    """Compute count, mean and quartiles of each class that has scores."""
    table = {}
    for label, name in classes.items():
        values = _scores(records, label)
        if values:
            lower, median, upper = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
            table[name] = {
                "pictures": len(values),
                "mean": float(np.mean(values)),
                "25 %": lower,
                "median": median,
                "75 %": upper,
            }
    return table


def densities(
    records: Sequence[dict[str, Any]], classes: dict[int, str]
) -> tuple[dict[str, str], float, float]:
    """Densities of the scores by class, and the ends of their scale."""
    by_class = {name: _scores(records, label) for label, name in classes.items()}
    scores = [score for values in by_class.values() for score in values]
    low, high = min(scores), max(scores) + 1e-9
    return density_points(by_class, low, high), low, high


def _scores(records: Sequence[dict[str, Any]], label: int) -> list[float]:
    """List the scores of a class."""
    of_class = [record for record in records if record["label"] == label]
    return [record["aesthetic"] for record in of_class if "aesthetic" in record]
