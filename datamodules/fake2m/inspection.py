"""Inspection of shards: contact sheets, histograms and the shortcut test."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datamodules.fake2m.aesthetics import (
    Scorer,
    compute,
    densities,
    join,
    open_images,
    read_aesthetics,
    summary,
)
from datamodules.fake2m.facts import read_facts
from datamodules.fake2m.shortcuts import Gate, shortcut_gate
from datamodules.shards import local_shards
from engine.files import write_bytes
from engine.pages.charts import density_points
from engine.pages.data_urls import image_url
from engine.pages.shell import MISSING, write_page
from images.kinds import UnreadableImage

CLASSES = {0: "real", 1: "generated"}

THUMBNAIL_SIDE = 96
"""Side of a contact sheet's images, in CSS pixels."""

MAX_VALUES = 12
"""Values in a histogram: the most frequent ones."""

HISTOGRAMS = ("subset", "codec", "size", "jpeg_quality", "generator")
"""Properties with a histogram."""

FOREIGN_RECORD = "no record of this project; write the shards with python -m datamodules shard"

Sheet = list[tuple[str, str]]
"""Images as data URLs, empty if unreadable, with their descriptions."""


def inspect_shards(
    urls: Sequence[str],
    output: Path,
    images: int = 24,
    max_records: int = 20_000,
    seed: int = 0,
    aesthetics: Path | None = None,
    scorer: Scorer | None = None,
    scored: int = 200,
) -> tuple[Gate, list[str]]:
    """Write ``inspection.html`` and ``inspection.json``.

    Args:
        urls: Patterns of local shards.
        output: Folder to write to.
        images: Images of each class on the contact sheet, at least 0.
        max_records: Largest number of records to use, equally many of each shard, at random; at
            least 1.
        seed: Seed of the random choices.
        aesthetics: Table of scores by path, or a zip archive of such tables, such as Fake2M's
            AestheticQuality.zip.
        scorer: Function that computes such scores instead.
        scored: Images of each class to compute scores of, at least 1.

    Returns:
        The result of the shortcut test, and the reasons why images that were opened, for the
        contact sheet or for a score, are unreadable.

    Raises:
        FileNotFoundError: If shards or the table are missing.
        ValueError: If a number is out of range, a class has too few images, a record is foreign, or
            a table has no scores.
    """
    for name, value, least in (
        ("images", images, 0),
        ("max_records", max_records, 1),
        ("scored", scored, 1),
    ):
        if value < least:
            msg = f"{name} must be at least {least}, got {value}"
            raise ValueError(msg)
    table = None if aesthetics is None else read_aesthetics(aesthetics)
    rng = random.Random(seed)
    records = _sample_records(local_shards(urls), max_records, rng)
    gate = shortcut_gate(records)
    output.mkdir(parents=True, exist_ok=True)
    # contact sheets, histograms and facts of the shortcut test
    sheets = {}
    unreadable: list[str] = []
    for label, name in CLASSES.items():
        sheets[name], reasons = contact_sheet(draw_records(records, label, images, rng))
        unreadable += reasons
    counts = {name: histogram(records, name) for name in HISTOGRAMS}
    facts: dict[str, Any] = {
        "pictures": gate.pictures,
        "gate": {
            "auc": gate.auc,
            "limit": gate.limit,
            "passed": gate.passed,
            "features": gate.features,
        },
        "counts": counts,
    }
    # aesthetic scores: read, or computed of some images
    if table is not None:
        join(records, table)
    elif scorer is not None:
        for label in CLASSES:
            unreadable += compute(draw_records(records, label, scored, rng), scorer)
    unreadable = list(dict.fromkeys(unreadable))
    facts["unreadable"] = unreadable
    if table is not None or scorer is not None:
        facts["aesthetics"] = summary(records, CLASSES)
    write_bytes(output / "inspection.json", json.dumps(facts, indent=2).encode() + b"\n")
    write_inspection(output / "inspection.html", gate, sheets, counts, records)
    return gate, unreadable


def _sample_records(shards: Sequence[Path], most: int, rng: random.Random) -> list[dict[str, Any]]:
    """Sample records of shards, equally many of each.

    They get two more entries, ``shard`` and ``key``.

    Raises:
        ValueError: If a shard has no records, or foreign ones.
    """
    per_shard = max(1, most // len(shards))
    sampled: list[dict[str, Any]] = []
    for shard in rng.sample(shards, len(shards)):
        records = [record | {"shard": shard, "key": key} for key, record in read_facts(shard)]
        if not records:
            msg = f"{shard}: no images with a {FOREIGN_RECORD.removeprefix('no ')}"
            raise ValueError(msg)
        sampled += rng.sample(records, min(len(records), per_shard))
    for record in sampled:
        if record.get("label") not in CLASSES or "nbytes" not in record:
            msg = f"{record['shard']}, {record['key']}: {FOREIGN_RECORD}"
            raise ValueError(msg)
    return sampled


def draw_records(
    records: Sequence[dict[str, Any]], label: int, count: int, rng: random.Random
) -> list[dict[str, Any]]:
    """Draw records of a class, alternating between subsets.

    Args:
        records: Records of shards.
        label: Class to draw from.
        count: Number of records to draw, if there are enough.
        rng: Random generator.
    """
    by_subset: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if record["label"] == label:
            by_subset.setdefault(record["subset"], []).append(record)
    for group in by_subset.values():
        rng.shuffle(group)
    drawn: list[dict[str, Any]] = []
    for index in range(count):
        drawn += [group[index] for group in by_subset.values() if index < len(group)]
    return drawn[:count]


def histogram(records: Sequence[dict[str, Any]], name: str) -> dict[str, dict[str, int]]:
    """Count the most frequent values of a property, by class."""
    counters: dict[str, Counter[str]] = {kind: Counter() for kind in CLASSES.values()}
    for record in records:
        value = f"{record['width']}x{record['height']}" if name == "size" else record.get(name)
        counters[CLASSES[record["label"]]][str(value)] += 1
    return {kind: dict(counter.most_common(MAX_VALUES)) for kind, counter in counters.items()}


def contact_sheet(records: Sequence[dict[str, Any]]) -> tuple[Sheet, list[str]]:
    """Render a thumbnail and a description of each record's image.

    Returns:
        The sheet, and reasons why images are unreadable.
    """
    sheet, unreadable = [], []
    for record, photo in open_images(records):
        size = f"{record['width']}x{record['height']}"
        name = f"{record['subset']}: {record['key']}, {record['codec']} {size}"
        if isinstance(photo, UnreadableImage):
            unreadable.append(str(photo))
            sheet.append(("", f"{name}: unreadable"))
        else:
            sheet.append((image_url(photo.on_white().rgb, 2 * THUMBNAIL_SIDE), name))
    return sheet, unreadable


def size_densities(records: Sequence[dict[str, Any]]) -> tuple[dict[str, str], float]:
    """Densities of file sizes in bits per pixel by class, and the right end of their scale."""
    bits = {}
    for label, kind in CLASSES.items():
        of_class = [record for record in records if record["label"] == label]
        sizes = [8 * record["nbytes"] / (record["width"] * record["height"]) for record in of_class]
        bits[kind] = sizes
    high = max(24.0, *(size for sizes in bits.values() for size in sizes))
    return density_points(bits, 0.0, high), high


def write_inspection(
    file: Path,
    gate: Gate,
    sheets: Mapping[str, Sheet],
    counts: Mapping[str, Any],
    records: Sequence[dict[str, Any]],
) -> None:
    """Write the page.

    Args:
        file: HTML file to write.
        gate: Result of the shortcut test.
        sheets: Contact sheet of each class.
        counts: Counts of values by property and class; see :func:`histogram`.
        records: Records of the images, with ``aesthetic`` where it is known.
    """
    histograms = {}
    for name, by_class in counts.items():
        histograms[name.replace("_", " ")] = _histogram_rows(by_class)
    write_page(
        file,
        "datamodules.fake2m/inspection.html",
        counts=gate.pictures,
        verdict=gate.verdict(),
        passed=gate.passed,
        features=[[name, f"{value:.3f}"] for name, value in gate.features.items()],
        sizes=size_densities(records),
        aesthetics=_aesthetics_section(records),
        histograms=histograms,
        classes=list(CLASSES.values()),
        frequent=MAX_VALUES,
        sheets=sheets,
    )


def _histogram_rows(by_class: Mapping[str, Mapping[str, int]]) -> list[list[Any]]:
    """Arrange counts as rows: a value and its count in each class."""
    values: dict[str, None] = {}
    for counts in by_class.values():
        values |= dict.fromkeys(counts)
    rows = []
    for value in values:
        rows.append([value, *(counts.get(value, MISSING) for counts in by_class.values())])
    return rows


def _aesthetics_section(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Build chart and table of the aesthetic scores; empty without scores."""
    table = summary(records, CLASSES)
    if not table:
        return {}
    rows = []
    for kind, values in table.items():
        rows.append([kind, *(f"{value:.4g}" for value in values.values())])
    return {
        "densities": densities(records, CLASSES),
        "head": ["class", *next(iter(table.values()))],
        "rows": rows,
    }
