"""``python -m datamodules inspect``: what is in some shards, as a contact sheet, histograms, and the shortcut gate's verdict."""

from __future__ import annotations

import html
import io
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from datamodules.fake2m.aesthetics import Scorer, compute, join, plot, read_aesthetics, summary
from datamodules.fake2m.sharding import read_facts
from datamodules.fake2m.shortcuts import Gate, shortcut_gate
from datamodules.streams import local_shards
from engine.files import write_bytes
from images.io import UnreadableImage, data_url, decode_photo
from images.samples import read_samples

CLASSES = {0: "real", 1: "generated"}
THUMBNAIL = 96


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
        records += rng.sample(here, min(len(here), max(1, most // len(shards))))
    if unlabelled := [record for record in records if record.get("label") not in CLASSES or "nbytes" not in record]:
        msg = f"{unlabelled[0]['shard']}, {unlabelled[0]['key']}: no record of ours; write the shards with python -m datamodules shard"
        raise ValueError(msg)
    gate = shortcut_gate(records)
    output.mkdir(parents=True, exist_ok=True)
    sheets = {name: contact_sheet(drawn(records, label, pictures, rng)) for label, name in CLASSES.items()}
    counts = {name: histogram(records, name) for name in ("subset", "codec", "size", "jpeg_quality", "generator")}
    told = {"auc": gate.auc, "limit": gate.limit, "passed": gate.passed, "features": gate.features}
    facts: dict[str, Any] = {"pictures": gate.pictures, "gate": told, "counts": counts}
    if table is not None:
        join(records, table)
    elif scorer is not None:
        compute([record for label in CLASSES for record in drawn(records, label, scored, rng)], scorer)
    if table is not None or scorer is not None:
        facts["aesthetics"] = summary(records, CLASSES)
    write_bytes(output / "inspection.json", json.dumps(facts, indent=2).encode() + b"\n")
    write_bytes(output / "inspection.html", page(gate, sheets, counts, records).encode())
    return gate


def drawn(records: Sequence[dict[str, Any]], label: int, count: int, rng: random.Random) -> list[dict[str, Any]]:
    """Some records of a class, from every subset in turn."""
    by_subset: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if record["label"] == label:
            by_subset.setdefault(record["subset"], []).append(record)
    for group in by_subset.values():
        rng.shuffle(group)
    turns = [group[index] for index in range(count) for group in by_subset.values() if index < len(group)]
    return turns[:count]


def histogram(records: Sequence[dict[str, Any]], name: str) -> dict[str, dict[str, int]]:
    """How often each value occurs, by class, the most frequent ones."""
    counted: dict[str, Counter[str]] = {kind: Counter() for kind in CLASSES.values()}
    for record in records:
        value = f"{record['width']}x{record['height']}" if name == "size" else record.get(name)
        counted[CLASSES[record["label"]]][str(value)] += 1
    return {kind: dict(counter.most_common(12)) for kind, counter in counted.items()}


def contact_sheet(records: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """For each record a small picture as a data URL, and what it is."""
    made = []
    places = {shard: {sample.key: sample for sample in read_samples(shard)} for shard in {record["shard"] for record in records}}
    for record in records:
        sample = places[record["shard"]][record["key"]]
        name = f"{record['subset']}: {record['key']}, {record['codec']} {record['width']}x{record['height']}"
        try:
            rgb = decode_photo(io.BytesIO(sample.image.read()), name).rgb
        except UnreadableImage:
            made.append(("", f"{name}: unreadable"))
            continue
        small, buffer = Image.fromarray(rgb), io.BytesIO()
        small.thumbnail((2 * THUMBNAIL, 2 * THUMBNAIL))
        small.save(buffer, format="PNG")
        made.append((data_url(buffer.getvalue(), "png"), name))
    return made


def sizes_plot(records: Sequence[dict[str, Any]]) -> str:
    """File size in bits per pixel, by class, as a data URL."""
    drawing = Figure(figsize=(7, 2.6), layout="constrained")
    axes = drawing.add_subplot()
    for label, kind in CLASSES.items():
        values = [8 * record["nbytes"] / (record["width"] * record["height"]) for record in records if record["label"] == label]
        axes.hist(values, bins=np.linspace(0, max(24.0, *values), 49).tolist(), alpha=0.55, density=True, label=kind)
    axes.set_xlabel("bits per pixel of the file")
    axes.legend()
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="svg", metadata={"Date": None})
    return data_url(buffer.getvalue(), "svg+xml")


def page(gate: Gate, sheets: dict[str, list[tuple[str, str]]], counts: dict[str, Any], records: Sequence[dict[str, Any]]) -> str:
    """One page that needs nothing beside it."""
    style = (
        "body{font:15px/1.5 system-ui,sans-serif;max-width:66rem;margin:2rem auto;padding:0 1rem;color:#222}"
        "figure{display:inline-block;margin:2px}img{image-rendering:auto}table{border-collapse:collapse;margin:.5rem 2rem .5rem 0;"
        "display:inline-table;vertical-align:top}td,th{padding:.1rem .7rem;text-align:left;border-bottom:1px solid #ddd}"
        ".no{background:#fde8e8;padding:.7rem}.yes{background:#e8f6ea;padding:.7rem}"
    )
    verdict = f'<p class="{"yes" if gate.passed else "no"}">{html.escape(gate.words())}</p>'
    gates = "".join(f"<tr><td>{name}</td><td>{value:.3f}</td></tr>" for name, value in gate.features.items())
    parts = [f"<h2>Header facts alone</h2>{verdict}<table><tr><th>fact</th><th>AUC</th></tr>{gates}</table>"]
    parts.append(f'<img src="{sizes_plot(records)}" alt="bits per pixel by class">')
    if looks := summary(records, CLASSES):
        parts.append(f'<h2>Aesthetic scores</h2><img src="{plot(records, CLASSES)}" alt="aesthetic scores by class"><table>')
        parts.append("<tr><th></th>" + "".join(f"<th>{name}</th>" for name in next(iter(looks.values()))) + "</tr>")
        rows = {kind: "".join(f"<td>{value:.4g}</td>" for value in values.values()) for kind, values in looks.items()}
        parts.append("".join(f"<tr><td>{kind}</td>{row}</tr>" for kind, row in rows.items()) + "</table>")
    for name, by_class in counts.items():
        tables = "".join(
            f"<table><tr><th>{kind}: {name.replace('_', ' ')}</th><th></th></tr>"
            + "".join(f"<tr><td>{html.escape(value)}</td><td>{count}</td></tr>" for value, count in values.items())
            + "</table>"
            for kind, values in by_class.items()
        )
        parts.append(f"<div>{tables}</div>")
    for kind, sheet in sheets.items():
        named = [(url, html.escape(name)) for url, name in sheet]
        cells = "".join(f'<figure><img src="{url}" alt="{name}" title="{name}" height={THUMBNAIL}></figure>' for url, name in named)
        parts.append(f"<h2>{kind}</h2>{cells}")
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Shards</title><style>{style}</style>'
    real, generated = gate.pictures
    return f"{head}<h1>{real} real and {generated} generated pictures</h1>{''.join(parts)}</html>\n"
