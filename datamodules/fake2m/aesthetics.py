"""How good pictures look: scores that came with a data set, joined by path, and what is told of them by class."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from torch import Tensor

from checkpoints.pickles import is_zipped
from datamodules.fake2m.annotations import PathTable, split_row
from engine.pages.data_urls import figure_url
from images.io import UnreadableImage, decode_photo
from images.samples import read_samples

Scorer = Callable[[Tensor], Tensor]
"""Scores, (B,), of (B, 3, H, W) pictures in [0, 1]; the higher, the better they look."""

TABLES = (".csv", ".tsv", ".txt")
LARGEST = 1 << 30
"""Bytes of all tables of an archive together, unpacked."""


def read_aesthetics(file: Path) -> PathTable[float]:
    """Scores by path, from a table with a path and a score in each row, or a zip archive of tables; a row without a number is a header.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no scores, or an archive is damaged or too large.
    """
    if not file.is_file():
        msg = f"{file}: no such file of aesthetic scores"
        raise FileNotFoundError(msg)
    found: PathTable[float] = PathTable()
    for name, text in _tables(file):
        for line in text.splitlines():
            path, value = split_row(line)
            try:
                score = float(value)
            except ValueError:
                continue
            if path and math.isfinite(score):
                found.add(path if "/" in path or not name else f"{name}/{path}", score)
    if not found:
        msg = f"{file}: no rows with a path and a score in it"
        raise ValueError(msg)
    return found


def _tables(file: Path) -> list[tuple[str, str]]:
    """Name, if it stands for a folder, and text of each table."""
    if not is_zipped(file):
        return [("", file.read_text(errors="replace"))]
    try:
        with zipfile.ZipFile(file) as archive:
            members = [
                member
                for member in archive.infolist()
                if PurePosixPath(member.filename).suffix.lower() in TABLES
            ]
            if sum(member.file_size for member in members) > LARGEST:
                msg = f"{file}: its tables are larger than {LARGEST >> 20} MB; unpack the one you need and give that"
                raise ValueError(msg)
            names = [
                PurePosixPath(member.filename).stem if len(members) > 1 else ""
                for member in members
            ]
            return [
                (name, archive.read(member).decode(errors="replace"))
                for name, member in zip(names, members, strict=True)
            ]
    except (zipfile.BadZipFile, RuntimeError) as error:
        msg = f"{file}: damaged or locked archive ({error}); get it again"
        raise ValueError(msg) from error


def join(records: Sequence[dict[str, Any]], scores: PathTable[float]) -> None:
    """Give every record whose picture has a score an ``aesthetic``."""
    for record in records:
        if (found := scores.find(record["source_path"])) is not None:
            record["aesthetic"] = found[1]


def compute(records: Sequence[dict[str, Any]], scorer: Scorer) -> None:
    """Give every record whose picture can be read an ``aesthetic``, by looking at it."""
    samples = {
        shard: {sample.key: sample for sample in read_samples(shard)}
        for shard in {record["shard"] for record in records}
    }
    for record in records:
        entry = samples[record["shard"]][record["key"]].image
        try:
            photo = decode_photo(io.BytesIO(entry.read()), record["key"])
        except UnreadableImage:
            continue
        record["aesthetic"] = float(scorer(photo.tensor().unsqueeze(0))[0])


def summary(
    records: Sequence[dict[str, Any]], classes: dict[int, str]
) -> dict[str, dict[str, float]]:
    """Count, mean and quartiles of each class; classes without scores are left out."""
    told = {}
    for label, kind in classes.items():
        values = _scores(records, label)
        if values:
            low, middle, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
            told[kind] = {
                "pictures": len(values),
                "mean": float(np.mean(values)),
                "25 %": low,
                "median": middle,
                "75 %": high,
            }
    return told


def plot(records: Sequence[dict[str, Any]], classes: dict[int, str]) -> str:
    """Histograms by class, as a data URL."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(7, 2.6), layout="constrained")
    axes = drawing.add_subplot()
    values = {kind: _scores(records, label) for label, kind in classes.items()}
    every = [value for part in values.values() for value in part]
    edges = np.linspace(min(every), max(every) + 1e-9, 41).tolist()
    for kind, part in values.items():
        if part:
            axes.hist(part, bins=edges, alpha=0.55, density=True, label=kind)
    axes.set_xlabel("aesthetic score")
    axes.legend()
    return figure_url(drawing)


def _scores(records: Sequence[dict[str, Any]], label: int) -> list[float]:
    return [
        record["aesthetic"]
        for record in records
        if record["label"] == label and "aesthetic" in record
    ]
