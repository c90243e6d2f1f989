"""Page of ``python -m eval redteam``: what a protection survives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.manifest import read_manifest
from engine.pages.charts import IntervalChart, Mark
from engine.pages.data_urls import MIN_HEIGHT, image_url
from engine.pages.shell import MISSING, number, write_page
from eval.reports.comparisons import count, span
from eval.reports.matrix import by_person, figure, unique
from eval.reports.personalization import first_images
from eval.reports.protection_table import real_words, references_of
from eval.reports.verdicts import CRITERIA, NAMES, CellVerdict, headline, judge_cells
from eval.studies.rows import RESULTS, known_mean, read_rows
from images.metrics import amplify_change

ARM = "protected"

PEOPLE, IMAGES = 3, 4
"""People on the page, and images of each."""

HEIGHT = 128
"""Height of an image on the page, in pixels."""

HEAD = [
    "attack",
    "purification",
    "verdict",
    "protected - clean (95 %)",
    "clean",
    "protected",
    "FDFR clean (95 %)",
    "FDFR protected (95 %)",
    "people",
    "minutes",
    "model",
]


def write_redteam_report(output: Path) -> tuple[str, list[CellVerdict]]:
    """Write ``report.html`` from ``results.parquet``.

    Args:
        output: Folder of the results.

    Returns:
        The headline, and the verdict of each cell.

    Raises:
        FileNotFoundError: If no cell is finished.
    """
    rows = read_rows(output / RESULTS)
    manifest = read_manifest(output) or {}
    verdicts = judge_cells(rows, ARM)
    words = headline(verdicts, rows, ARM)
    people = unique(rows, "person")
    write_page(
        output / "report.html",
        "eval/redteam.html",
        headline=words,
        kind=_kind(verdicts),
        bound=bound_words(manifest.get("bound")),
        unchanged=unchanged_words(manifest.get("bound")),
        mixture=mixture_words(manifest.get("settings")),
        chart=_chart(verdicts),
        head=[_named(head, verdicts) for head in HEAD],
        rows=[_row(one, rows) for one in verdicts],
        criteria=CRITERIA,
        count=count(len(people)),
        references=references_of(rows),
        real=real_words(known_mean([row["real_ism"] for row in rows])),
        not_run=manifest.get("not_run", []),
        leftovers=leftover_names(manifest.get("leftovers")),
        people=[_person(output, verdicts, person) for person in people[:PEOPLE]],
        shown=min(PEOPLE, len(people)),
        manifest=manifest,
    )
    return words, verdicts


def bound_words(bound: Mapping[str, float] | None) -> str:
    """State the measured bound in a sentence."""
    if not bound:
        return "The change that the protection makes was not measured."
    return (
        f"Measured on {bound['images']:g} protected photos: the largest change of a value is "
        f"{bound['largest']:g} gray levels of 255, {bound['median']:g} in the median photo."
    )


def unchanged_words(bound: Mapping[str, float] | None) -> str:
    """Warn of protected files that are the clean ones; empty without any."""
    if not bound or not bound["unchanged"]:
        return ""
    return (
        f"{bound['unchanged']:g} of {bound['images']:g} protected photos are the clean ones, "
        "value by value: was the right folder given?"
    )


def mixture_words(settings: Mapping[str, Any] | None) -> str:
    """State the share of unprotected photos that the attacker had; empty without any."""
    share = (settings or {}).get("clean_fraction")
    if not share:
        return ""
    return f"Of the protected photos the attacker had {share:.0%} unprotected instead."


def leftover_names(leftovers: Mapping[str, Sequence[str]] | None) -> dict[str, list[str]]:
    """Name the first files of each kind that were not used, and count the others."""
    kinds = {
        "protected": "protected, without a clean file of the same name",
        "clean": "clean, of people without any protected file",
        "others": "no images",
    }
    found = {}
    for kind, words in kinds.items():
        names = list((leftovers or {}).get(kind, ()))
        if names:
            more = [f"{len(names) - 5} more"] if len(names) > 5 else []
            found[words] = names[:5] + more
    return found


def _kind(verdicts: Sequence[CellVerdict]) -> str:
    """Kind of the headline's box: good if all cells that can judge hold, bad if one fails."""
    found = {one.verdict for one in verdicts} - {"weak attack"}
    if "fails" in found:
        return "bad"
    return "good" if found == {"holds"} else ""


def _named(head: str, verdicts: Sequence[CellVerdict]) -> str:
    """Head of a column, with the metric that it shows."""
    metric = NAMES[verdicts[0].metric]
    return f"{metric} {head}" if head in ("clean", "protected") else head


def _chart(verdicts: Sequence[CellVerdict]) -> IntervalChart:
    """Chart of the paired difference in every cell."""
    marks = []
    for one in verdicts:
        mean = np.nan if one.difference is None else one.difference.mean
        interval = None if one.difference is None else one.difference.interval
        marks.append(Mark(one.name, "protected - clean", mean, interval))
    name = f"{NAMES[verdicts[0].metric]}, protected - clean: mean and 95 % interval over people"
    return IntervalChart(name, marks, -1.0, 1.0)


def _row(one: CellVerdict, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Format a cell as a row of the table."""
    here = [
        row
        for row in rows
        if (row["attack"], row["purification"]) == (one.attack, one.purification)
    ]
    rates = by_person(here, "fdfr")
    difference = one.difference
    change = MISSING
    if difference is not None:
        interval = span(difference.interval, 2, signed=True) or "no interval"
        change = f"{difference.mean:+.2f} ({interval})"
    return [
        one.attack,
        one.purification,
        one.verdict,
        change,
        number(one.values.get("clean")),
        number(one.values.get(ARM)),
        figure(list(rates.get("clean", {}).values()), share=True),
        figure(list(rates.get(ARM, {}).values()), share=True),
        str(difference.n if difference else 0),
        MISSING if one.minutes is None else f"{one.minutes:.2f}",
        one.model or MISSING,
    ]


def _person(output: Path, verdicts: Sequence[CellVerdict], person: str) -> dict[str, Any]:
    """Images of a person: protected ones, and what each attack generated."""
    folders = {
        one.name: output / "cells" / one.attack / one.purification / "people" / person
        for one in verdicts
    }
    first = next(iter(folders.values()))
    clean = first_images(first, "original", IMAGES)
    protected = first_images(first / ARM, "protected", IMAGES)
    difference = [amplify_change(a, b) for a, b in zip(clean, protected, strict=True)]
    cells = []
    for name, folder in folders.items():
        arms = {}
        for arm in ("clean", ARM):
            purified = sorted((folder / arm).glob("purified_*.png"))
            arms[arm] = {
                "purified": _strip(first_images(folder / arm, "purified", IMAGES))
                if purified
                else "",
                "generated": _strip(first_images(folder / arm, "generated", IMAGES)),
            }
        cells.append({"name": name, "arms": arms})
    return {
        "name": person,
        "clean": _strip(clean),
        "protected": _strip(protected),
        "difference": _strip(difference),
        "cells": cells,
    }


def _strip(images: Sequence[Any]) -> str:
    """URL of a row of images at a small size."""
    joined = np.hstack(list(images))
    height, width = joined.shape[:2]
    if height <= MIN_HEIGHT:
        return image_url(joined)
    side = max(HEIGHT, round(width * HEIGHT / height)) if height > HEIGHT else None
    return image_url(joined, side, "jpeg")
