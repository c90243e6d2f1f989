"""The matrix as Markdown and as one self-contained HTML page: methods as rows, attacks as columns, a table for each purification."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from engine.files import write_text
from engine.pages.data_urls import figure_url, strip_url
from engine.pages.markdown import markdown_table
from engine.pages.shell import write_page
from engine.statistics import half_width
from eval.metrics.catalog import CATALOG
from eval.reports.personalization import DESCRIPTIONS, first_images
from eval.studies.access import unrecorded_box

Row = dict[str, Any]
SHOWN = {"ism_all": "ISM", "fdfr": "FDFR", "brisque": "BRISQUE"}
"""Metrics of the table; the others are in results.parquet and on each cell's page."""
BOXES = (
    "Box: white if the attacked model is one that the protection was made against, black if it is not, told by the sha256 of its weights; "
    "unknown where a record is missing."
)


def write_matrix_report(output: Path, pictures: int = 6) -> str:
    """Read ``results.parquet`` and write ``report.md`` and ``report.html`` beside it.

    Args:
        output: The matrix's folder.
        pictures: Generated pictures shown for each person, arm and cell.

    Returns:
        The tables as Markdown.

    Raises:
        FileNotFoundError: If the matrix is not finished.
    """
    file = output / "results.parquet"
    if not file.is_file():
        msg = f"{output}: no results.parquet here; run 'python -m eval matrix' with this output folder first"
        raise FileNotFoundError(msg)
    rows: list[Row] = pq.read_table(file).to_pylist()
    text = markdown(rows)
    write_text(output / "report.md", text)
    heads = [*SHOWN.values(), "box"]
    write_page(
        output / "report.html",
        "eval/matrix.html",
        tables=[
            {
                "purification": name,
                "head": ["arm", *heads * len(attacks)],
                "groups": [(attack, len(heads)) for attack in attacks],
                "rows": [[arm, *cells] for arm, cells in lines],
            }
            for name, attacks, lines in tables(rows)
        ],
        shown=SHOWN,
        boxes=BOXES,
        better={metric.name: metric.wanted for metric in CATALOG},
        descriptions=DESCRIPTIONS,
        people=[_person(output, rows, person, pictures) for person in unique(rows, "person")],
        curve=curve(rows),
        count=len(unique(rows, "person")),
        real=float(np.mean([row["real_ism"] for row in rows])),
    )
    return text


def unique(rows: Sequence[Row], key: str) -> list[str]:
    """The values of a column, in the order they come in."""
    return list(dict.fromkeys(str(row[key]) for row in rows))


def tables(rows: Sequence[Row]) -> list[tuple[str, list[str], list[tuple[str, list[str]]]]]:
    """For each purification: its name, the attacks run after it, and for each arm a cell's figures in words, attack by attack."""
    made = []
    for purification in unique(rows, "purification"):
        here = [row for row in rows if row["purification"] == purification]
        attacks = unique(here, "attack")
        lines = [
            (arm, [cell for attack in attacks for cell in _cells(here, arm, attack)])
            for arm in unique(here, "arm")
        ]
        made.append((purification, attacks, lines))
    return made


def _cells(rows: Sequence[Row], arm: str, attack: str) -> list[str]:
    """Figures of one arm under one attack, and its box."""
    mine = [row for row in rows if (row["arm"], row["attack"]) == (arm, attack)]
    box = " or ".join(sorted({str(row.get("box", unrecorded_box(arm))) for row in mine})) or "-"
    return [*(figure([row[metric] for row in mine]) for metric in SHOWN), box]


def figure(values: Sequence[float]) -> str:
    """Mean and the half width of its 95 % interval (Student's t over people); a dash where nothing was measurable."""
    known = np.array([value for value in values if value is not None and np.isfinite(value)])
    if not len(known):
        return "-"
    mean = f"{known.mean():.1f}" if abs(known.mean()) >= 10 else f"{known.mean():.2f}"
    if len(known) < 2:
        return mean
    half = half_width(known)
    return f"{mean} ±{half:.1f}" if half >= 10 else f"{mean} ±{half:.2f}"


def markdown(rows: Sequence[Row]) -> str:
    """The tables as Markdown."""
    parts = []
    for purification, attacks, lines in tables(rows):
        head = [
            "arm",
            *(f"{attack} {name}" for attack in attacks for name in (*SHOWN.values(), "box")),
        ]
        parts += [
            f"Purification: {purification}",
            "",
            markdown_table(head, [[arm, *cells] for arm, cells in lines]),
            "",
        ]
    people = len(unique(rows, "person"))
    parts.append(
        f"{people} people, means ± 95 % interval over people; ISM counts pictures without a face as 0."
    )
    parts.append(BOXES)
    return "\n".join(parts) + "\n"


def curve(rows: Sequence[Row]) -> str:
    """ISM of every arm over the purifications, for each attack that met at least two of them; SVG, empty if none did."""
    attacks = [
        attack
        for attack in unique(rows, "attack")
        if len(unique([r for r in rows if r["attack"] == attack], "purification")) > 1
    ]
    if not attacks:
        return ""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        drawing = Figure(figsize=(9, 3.2 * len(attacks)), layout="constrained")
        for index, attack in enumerate(attacks):
            axes = drawing.add_subplot(len(attacks), 1, index + 1)
            here = [row for row in rows if row["attack"] == attack]
            places = unique(here, "purification")
            for arm in unique(here, "arm"):
                groups = [
                    [
                        row["ism_all"]
                        for row in here
                        if (row["arm"], row["purification"]) == (arm, place)
                    ]
                    for place in places
                ]
                half = [half_width(np.array(group)) for group in groups]
                axes.errorbar(
                    range(len(places)),
                    [np.mean(group) for group in groups],
                    yerr=half,
                    marker="o",
                    capsize=3,
                    label=arm,
                )
            axes.set_xticks(range(len(places)), places)
            axes.set_ylabel("ISM, no face = 0")
            axes.set_title(attack)
            axes.grid(alpha=0.3)
            axes.legend()
        return figure_url(drawing)


def _person(output: Path, rows: Sequence[Row], person: str, count: int) -> dict[str, Any]:
    """What the attacker drew of a person: a line of pictures for each cell and arm."""
    lines = []
    for attack in unique(rows, "attack"):
        for purification in unique(
            [row for row in rows if row["attack"] == attack], "purification"
        ):
            folder = output / "cells" / attack / purification / "people" / person
            arms = unique(rows, "arm")
            drawn = {arm: strip_url(first_images(folder / arm, "generated", count)) for arm in arms}
            lines.append({"attack": attack, "purification": purification, "arms": drawn})
    return {"name": person, "lines": lines}
