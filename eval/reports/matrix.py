"""Report of a matrix, as Markdown and as a self-contained page.

Each purification has a table, with methods as rows and attacks as columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from engine.files import write_text
from engine.manifest import read_manifest
from engine.pages.data_urls import strip_url
from engine.pages.markdown import markdown_table
from engine.pages.shell import p_value, write_page
from engine.statistics import holm, share_interval
from eval.metrics.catalog import CATALOG
from eval.reports.budgets import measured_budgets
from eval.reports.comparisons import (
    LEVEL,
    SHARES,
    Comparison,
    Values,
    compare,
    count,
    identity_score,
    reach,
    span,
)
from eval.reports.matrix_curve import charts
from eval.reports.personalization import EARLIER_DESCRIPTIONS, first_images
from eval.reports.protection_table import real_words, references_of
from eval.studies.access import unrecorded_box
from eval.studies.rows import RESULTS, known_mean, read_rows

Row = dict[str, Any]
SHOWN = {"ism_all": "ISM", "fdfr": "FDFR", "brisque": "BRISQUE"}
"""Metrics of the table; all metrics are in results.parquet and on each cell's page."""

DIFFERENCES = {"ism_all": SHARES, "brisque": (-np.inf, np.inf)}
"""Metrics that also show the paired difference from the clean arm, with its range."""

HEADS = ["ISM", "ISM - clean (95 %)", "FDFR (95 %)", "BRISQUE", "BRISQUE - clean (95 %)", "box"]
"""Columns of one attack."""

BOXES = (
    "Box: white if the protection was made against the attacked model, black if not; models are "
    "compared by the sha256 of their weights. Unknown if a record is missing."
)
"""Note on the column ``box``."""


def write_matrix_report(output: Path, pictures: int = 6) -> str:
    """Write ``report.md`` and ``report.html`` from ``results.parquet``.

    Args:
        output: Folder of the matrix.
        pictures: Generated images shown for each person, arm and cell.

    Returns:
        The tables as Markdown.

    Raises:
        FileNotFoundError: If no cell is finished.
    """
    rows: list[Row] = read_rows(output / RESULTS)
    manifest = read_manifest(output) or {}
    text = markdown(rows, manifest)
    write_text(output / "report.md", text)
    write_page(
        output / "report.html",
        "eval/matrix.html",
        tables=[_page_table(*table) for table in tables(rows)],
        shown=SHOWN,
        notes=notes(rows, manifest),
        better={metric.name: metric.wanted for metric in CATALOG},
        descriptions=manifest.get("descriptions", EARLIER_DESCRIPTIONS),
        people=[_person(output, rows, person, pictures) for person in unique(rows, "person")],
        charts=charts(rows),
        count=count(len(unique(rows, "person"))),
    )
    return text


def _page_table(
    purification: str, attacks: list[str], lines: list[tuple[str, list[str]]]
) -> dict[str, Any]:
    """Table of the page, from an element of :func:`tables`."""
    return {
        "purification": purification,
        "head": ["arm", *HEADS * len(attacks)],
        "groups": [(attack, len(HEADS)) for attack in attacks],
        "rows": [[arm, *cells] for arm, cells in lines],
    }


def unique(rows: Sequence[Row], key: str) -> list[str]:
    """Distinct values of a column, in order of appearance."""
    return list(dict.fromkeys(str(row[key]) for row in rows))


def tables(rows: Sequence[Row]) -> list[tuple[str, list[str], list[tuple[str, list[str]]]]]:
    """One table for each purification.

    Returns:
        Name of the purification, the attacks after it, and a line for each arm. A line is the arm's
        name, and the cells of all attacks in order.
    """
    parts = []
    for purification in unique(rows, "purification"):
        here = [row for row in rows if row["purification"] == purification]
        attacks = unique(here, "attack")
        lines = []
        for arm in unique(here, "arm"):
            cells: list[str] = []
            for attack in attacks:
                cells += _cells(here, arm, attack)
            lines.append((arm, cells))
        parts.append((purification, attacks, lines))
    return parts


def _cells(rows: Sequence[Row], arm: str, attack: str) -> list[str]:
    """Cells of one arm under one attack; see :data:`HEADS`."""
    here = [row for row in rows if row["attack"] == attack]
    boxes = {str(row.get("box", unrecorded_box(arm))) for row in here if row["arm"] == arm}
    cells = []
    for metric in SHOWN:
        values = by_person(here, metric)
        cells.append(figure(list(values.get(arm, {}).values()), share=metric == "fdfr"))
        if metric in DIFFERENCES:
            cells.append(change(values, arm, DIFFERENCES[metric]))
    return [*cells, " or ".join(sorted(boxes)) or "-"]


def by_person(rows: Sequence[Row], metric: str) -> dict[str, dict[str, float]]:
    """Values of a metric by arm and person; NaN if unknown.

    ISM is at least 0.
    """
    values: dict[str, dict[str, float]] = {}
    for row in rows:
        value = row[metric]
        if metric == "ism_all":
            value = float(identity_score([value])[0])
        values.setdefault(row["arm"], {})[row["person"]] = np.nan if value is None else value
    return values


def by_arm(values: Mapping[str, Mapping[str, float]]) -> dict[str, Values]:
    """Values of each arm, (n,), in the same order of people.

    People without a value have NaN.
    """
    people: set[str] = set()
    for of_arm in values.values():
        people.update(of_arm)
    arrays = {}
    for arm, of_arm in values.items():
        arrays[arm] = np.array([of_arm.get(person, np.nan) for person in sorted(people)])
    return arrays


def change(
    values: Mapping[str, Mapping[str, float]], arm: str, bounds: tuple[float, float] = SHARES
) -> str:
    """Format the paired difference of an arm from the clean one, within a range.

    The number of people is stated if some are missing.
    """
    pairs = {(one.a, one.b): one for one in compare(by_arm(values), bounds=bounds)}
    if (arm, "clean") not in pairs:
        return "-"
    difference = pairs[arm, "clean"].difference
    interval = span(difference.interval, 2, signed=True)
    missing = f", n = {difference.n}" if difference.n < len(values[arm]) else ""
    return f"{difference.mean:+.2f} ({interval or 'no interval'}{missing})"


def figure(values: Sequence[float | None], *, share: bool = False) -> str:
    """Format a mean over people; a dash without values.

    Args:
        values: Values of the people. Unknown values (None, NaN, infinite) are left out, and the
            number of the others is stated.
        share: Add the interval of a mean of shares, which are 0 to 1.
    """
    known = np.array([value for value in values if value is not None and np.isfinite(value)])
    if not len(known):
        return "-"
    mean = f"{known.mean():.1f}" if abs(known.mean()) >= 10 else f"{known.mean():.2f}"
    notes = [span(share_interval(known), 2)] if share else []
    if len(known) < len(values):
        notes.append(f"n = {len(known)}")
    notes = [note for note in notes if note]
    return f"{mean} ({', '.join(notes)})" if notes else mean


def comparisons(rows: Sequence[Row]) -> list[Comparison]:
    """Compare ISM in each cell, with Holm's correction over all cells."""
    compared: list[Comparison] = []
    for attack in unique(rows, "attack"):
        for purification in unique(rows, "purification"):
            cell = (attack, purification)
            here = [row for row in rows if (row["attack"], row["purification"]) == cell]
            name = f"ISM, {attack}, {purification}"
            compared += compare(by_arm(by_person(here, "ism_all")), metric=name)
    adjusted = holm([one.difference.p for one in compared])
    return [replace(one, adjusted=p) for one, p in zip(compared, adjusted, strict=True)]


def notes(rows: Sequence[Row], manifest: Mapping[str, Any] = MappingProxyType({})) -> list[str]:
    """Notes on the figures and their limits.

    Args:
        rows: Rows of ``results.parquet``.
        manifest: Manifest of the matrix.
    """
    people = len(unique(rows, "person"))
    real = real_words(known_mean([row.get("real_ism") for row in rows]))
    sentences = [
        f"{count(people)}{references_of(rows)}. {real}. ISM counts pictures without a face, and a "
        "person below 0, as 0. It grows with the number of reference pictures: compare equally "
        "many only. "
        "Differences from the clean arm are paired over people, with 95 % intervals "
        "(Student's t). FDFR has its own interval over people (Korn and Graubard). "
        "The attack ran with one seed; no interval includes the spread over seeds.",
    ]
    compared = comparisons(rows)
    if compared:
        least = compared[0].difference.least_p
        passed = sum(one.adjusted <= LEVEL for one in compared)
        limit = reach(people, len(compared))
        sentences.append(
            f"{len(compared)} comparisons of ISM in all; "
            f"the least p that {count(people)} can give is {p_value(least)}. "
            f"After Holm over all of them, {passed} have p <= {LEVEL:g}"
            + (f": {limit}." if limit else ".")
        )
    levels: dict[str, float] = {}
    for row in rows:
        levels[row["arm"]] = max(levels.get(row["arm"], 0.0), row.get("levels") or 0.0)
    left = manifest.get("not_run", [])
    unfinished = [f"Not run yet: {', '.join(left)}. The same command goes on."] if left else []
    return [*unfinished, *sentences, *measured_budgets(manifest, levels), BOXES]


def markdown(rows: Sequence[Row], manifest: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Format the tables as Markdown, from the arguments of :func:`notes`."""
    parts = []
    for purification, attacks, lines in tables(rows):
        head = ["arm"]
        for attack in attacks:
            head += [f"{attack} {name}" for name in HEADS]
        table = markdown_table(head, [[arm, *cells] for arm, cells in lines])
        parts += [f"Purification: {purification}", "", table, ""]
    return "\n".join([*parts, *notes(rows, manifest)]) + "\n"


def _person(output: Path, rows: Sequence[Row], person: str, count: int) -> dict[str, Any]:
    """Generated images of a person, one line for each cell."""
    arms = unique(rows, "arm")
    lines = []
    for attack in unique(rows, "attack"):
        here = [row for row in rows if row["attack"] == attack]
        for purification in unique(here, "purification"):
            folder = output / "cells" / attack / purification / "people" / person
            strips = {}
            for arm in arms:
                strips[arm] = strip_url(first_images(folder / arm, "generated", count))
            lines.append({"attack": attack, "purification": purification, "arms": strips})
    return {"name": person, "lines": lines}
