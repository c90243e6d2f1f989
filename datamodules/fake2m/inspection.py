"""``python -m datamodules inspect``: what is in some shards, as a contact sheet, histograms, and the shortcut gate's verdict."""

from __future__ import annotations

import io
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.fake2m.aesthetics import Scorer, compute, join, plot, read_aesthetics, summary
from datamodules.fake2m.facts import read_facts
from datamodules.fake2m.shortcuts import Gate, shortcut_gate
from datamodules.shards import local_shards
from engine.files import write_bytes
from engine.pages.data_urls import figure_url, image_url
from engine.pages.shell import MISSING, write_page
from images.io import UnreadableImage, decode_photo
from images.samples import read_samples

CLASSES = {0: "real", 1: "generated"}
THUMBNAIL = 96
FREQUENT = 12

Sheet = list[tuple[str, str]]
"""Images as data URLs, empty for those that cannot be read, and what each is."""


def inspect_shards(
    urls: Sequence[str],
    output: Path,
    pictures: int = 24,
    most: int = 20_000,
    seed: int = 0,
    aesthetics: Path | None = None,
    scorer: Scorer | None = None,
    scored: int = 200,
) -> Gate:
    """Write ``inspection.html`` and ``inspection.json``.

    Args:
        urls: Patterns of shards that are here.
        output: Folder to write to.
        pictures: Pictures of each class on the contact sheet.
        most: Records kept at most, as many of each shard, drawn at random.
        seed: Of what is drawn.
        aesthetics: Table of scores by path, or a zip archive of such tables, as Fake2M's AestheticQuality.zip.
        scorer: Computes such scores instead.
        scored: Pictures of each class to compute them of.

    Returns:
        The shortcut gate's verdict.

    Raises:
        FileNotFoundError: If there are no shards, or there is no such table.
        ValueError: If a class has too few pictures, or a table has no scores.
    """
    table = None if aesthetics is None else read_aesthetics(aesthetics)
    rng = random.Random(seed)
    shards = local_shards(urls)
    records: list[dict[str, Any]] = []
    for shard in rng.sample(shards, len(shards)):
        here = [facts | {"shard": shard, "key": key} for key, facts in read_facts(shard)]
        if not here:
            msg = f"{shard}: no record of ours; write the shards with python -m datamodules shard"
            raise ValueError(msg)
        records += rng.sample(here, min(len(here), max(1, most // len(shards))))
    if unlabelled := [
        record for record in records if record.get("label") not in CLASSES or "nbytes" not in record
    ]:
        msg = f"{unlabelled[0]['shard']}, {unlabelled[0]['key']}: no record of ours; write the shards with python -m datamodules shard"
        raise ValueError(msg)
    gate = shortcut_gate(records)
    output.mkdir(parents=True, exist_ok=True)
    sheets = {
        name: contact_sheet(drawn(records, label, pictures, rng)) for label, name in CLASSES.items()
    }
    counts = {
        name: histogram(records, name)
        for name in ("subset", "codec", "size", "jpeg_quality", "generator")
    }
    told = {"auc": gate.auc, "limit": gate.limit, "passed": gate.passed, "features": gate.features}
    facts: dict[str, Any] = {"pictures": gate.pictures, "gate": told, "counts": counts}
    if table is not None:
        join(records, table)
    elif scorer is not None:
        compute(
            [record for label in CLASSES for record in drawn(records, label, scored, rng)], scorer
        )
    if table is not None or scorer is not None:
        facts["aesthetics"] = summary(records, CLASSES)
    write_bytes(output / "inspection.json", json.dumps(facts, indent=2).encode() + b"\n")
    write_inspection(output / "inspection.html", gate, sheets, counts, records)
    return gate


def drawn(
    records: Sequence[dict[str, Any]], label: int, count: int, rng: random.Random
) -> list[dict[str, Any]]:
    """Some records of a class, from every subset in turn."""
    by_subset: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if record["label"] == label:
            by_subset.setdefault(record["subset"], []).append(record)
    for group in by_subset.values():
        rng.shuffle(group)
    turns = [
        group[index] for index in range(count) for group in by_subset.values() if index < len(group)
    ]
    return turns[:count]


def histogram(records: Sequence[dict[str, Any]], name: str) -> dict[str, dict[str, int]]:
    """How often each value occurs, by class, the most frequent ones."""
    counted: dict[str, Counter[str]] = {kind: Counter() for kind in CLASSES.values()}
    for record in records:
        value = f"{record['width']}x{record['height']}" if name == "size" else record.get(name)
        counted[CLASSES[record["label"]]][str(value)] += 1
    return {kind: dict(counter.most_common(FREQUENT)) for kind, counter in counted.items()}


def contact_sheet(records: Sequence[dict[str, Any]]) -> Sheet:
    """For each record a small picture as a data URL, and what it is."""
    made = []
    places = {
        shard: {sample.key: sample for sample in read_samples(shard)}
        for shard in {record["shard"] for record in records}
    }
    for record in records:
        sample = places[record["shard"]][record["key"]]
        name = f"{record['subset']}: {record['key']}, {record['codec']} {record['width']}x{record['height']}"
        try:
            rgb = decode_photo(io.BytesIO(sample.image.read()), name).rgb
        except UnreadableImage:
            made.append(("", f"{name}: unreadable"))
            continue
        made.append((image_url(rgb, 2 * THUMBNAIL), name))
    return made


def sizes_plot(records: Sequence[dict[str, Any]]) -> str:
    """File size in bits per pixel, by class, as a data URL."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(7, 2.6), layout="constrained")
    axes = drawing.add_subplot()
    for label, kind in CLASSES.items():
        values = [
            8 * record["nbytes"] / (record["width"] * record["height"])
            for record in records
            if record["label"] == label
        ]
        axes.hist(
            values,
            bins=np.linspace(0, max(24.0, *values), 49).tolist(),
            alpha=0.55,
            density=True,
            label=kind,
        )
    axes.set_xlabel("bits per pixel of the file")
    axes.legend()
    return figure_url(drawing)


def write_inspection(
    file: Path,
    gate: Gate,
    sheets: Mapping[str, Sheet],
    counts: Mapping[str, Any],
    records: Sequence[dict[str, Any]],
) -> None:
    """Write the page.

    Args:
        file: The page.
        gate: The shortcut gate's verdict.
        sheets: A contact sheet of each class.
        counts: By property and class, how often each value occurs; see :func:`histogram`.
        records: Of the images, with ``aesthetic`` where it is known.
    """
    looks = summary(records, CLASSES)
    write_page(
        file,
        "datamodules.fake2m/inspection.html",
        counts=gate.pictures,
        verdict=gate.words(),
        passed=gate.passed,
        features=[[name, f"{value:.3f}"] for name, value in gate.features.items()],
        sizes=sizes_plot(records),
        aesthetics=looks
        and {
            "plot": plot(records, CLASSES),
            "head": ["class", *next(iter(looks.values()))],
            "rows": [
                [kind, *(f"{value:.4g}" for value in values.values())]
                for kind, values in looks.items()
            ],
        },
        histograms={
            name.replace("_", " "): [
                [value, *(found.get(value, MISSING) for found in by_class.values())]
                for value in dict.fromkeys(value for found in by_class.values() for value in found)
            ]
            for name, by_class in counts.items()
        },
        classes=list(CLASSES.values()),
        frequent=FREQUENT,
        sheets=sheets,
    )
