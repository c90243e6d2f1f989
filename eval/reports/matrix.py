"""The matrix as Markdown and as one self-contained HTML page.

Methods as rows, attacks as columns, a table for each purification.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from engine.files import write_text
from engine.pages.data_urls import figure_url, strip_url
from engine.pages.markdown import markdown_table
from engine.pages.shell import write_page
from engine.statistics import holm, mean_interval, share_interval
from eval.metrics.catalog import CATALOG
from eval.reports.comparisons import (
    LEVEL,
    Comparison,
    Values,
    compare,
    count,
    identity_score,
    reach,
    span,
)
from eval.reports.personalization import DESCRIPTIONS, first_images
from eval.studies.access import unrecorded_box

Row = dict[str, Any]
SHOWN = {"ism_all": "ISM", "fdfr": "FDFR", "brisque": "BRISQUE"}
"""Metrics of the table; the others are in results.parquet and on each cell's page."""
DIFFERENCES = ("ism_all", "brisque")
"""Those of them whose paired difference from the clean arm is shown."""
HEADS = ["ISM", "ISM - clean (95 %)", "FDFR (95 %)", "BRISQUE", "BRISQUE - clean (95 %)", "box"]
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
    write_page(
        output / "report.html",
        "eval/matrix.html",
        tables=[
            {
                "purification": name,
                "head": ["arm", *HEADS * len(attacks)],
                "groups": [(attack, len(HEADS)) for attack in attacks],
                "rows": [[arm, *cells] for arm, cells in lines],
            }
            for name, attacks, lines in tables(rows)
        ],
        shown=SHOWN,
        notes=notes(rows),
        better={metric.name: metric.wanted for metric in CATALOG},
        descriptions=DESCRIPTIONS,
        people=[_person(output, rows, person, pictures) for person in unique(rows, "person")],
        curve=curve(rows),
        count=count(len(unique(rows, "person"))),
        real=float(np.mean([row["real_ism"] for row in rows])),
    )
    return text


def unique(rows: Sequence[Row], key: str) -> list[str]:
    """The values of a column, in the order they come in."""
    return list(dict.fromkeys(str(row[key]) for row in rows))


def tables(rows: Sequence[Row]) -> list[tuple[str, list[str], list[tuple[str, list[str]]]]]:
    """For each purification.

    Its name, the attacks run after it, and for each arm a cell's figures in words, attack by
    attack.
    """
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
    """Figures of one arm under one attack, paired differences from the clean arm, and its box."""
    here = [row for row in rows if row["attack"] == attack]
    mine = [row for row in here if row["arm"] == arm]
    box = " or ".join(sorted({str(row.get("box", unrecorded_box(arm))) for row in mine})) or "-"
    cells = []
    for metric in SHOWN:
        values = by_person(here, metric)
        cells.append(figure(list(values.get(arm, {}).values()), share=metric == "fdfr"))
        if metric in DIFFERENCES:
            cells.append(change(values, arm))
    return [*cells, box]


def by_person(rows: Sequence[Row], metric: str) -> dict[str, dict[str, float]]:
    """A metric's values by arm and person.

    ISM is no less than 0, and what is not a number is NaN.
    """
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        value = row[metric]
        if metric == "ism_all":
            value = float(identity_score([value])[0])
        found.setdefault(row["arm"], {})[row["person"]] = np.nan if value is None else value
    return found


def paired(values: Mapping[str, Mapping[str, float]]) -> dict[str, Values]:
    """Values of every arm in one order of people; NaN where a person has none."""
    people = sorted({person for mine in values.values() for person in mine})
    return {
        arm: np.array([mine.get(person, np.nan) for person in people])
        for arm, mine in values.items()
    }


def change(values: Mapping[str, Mapping[str, float]], arm: str) -> str:
    """Paired difference of an arm from the clean one, its interval, and the people if some are missing."""
    found = [one for one in compare(paired(values)) if (one.a, one.b) == (arm, "clean")]
    if not found:
        return "-"
    difference = found[0].difference
    interval = span(difference.interval, 2, signed=True)
    missing = f", n = {difference.n}" if difference.n < len(values[arm]) else ""
    return f"{difference.mean:+.2f} ({interval or 'no interval'}{missing})"


def figure(values: Sequence[float | None], *, share: bool = False) -> str:
    """Mean over people; of a share, its interval, too. A dash where nothing was measurable.

    Args:
        values: Of the people; those that are no numbers are left out, and then the number of the
            others is given.
        share: If the values are shares of images.
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
    """Comparisons of ISM in every cell, with Holm's p over all of them."""
    found = []
    for attack in unique(rows, "attack"):
        for purification in unique(rows, "purification"):
            place = (attack, purification)
            here = [row for row in rows if (row["attack"], row["purification"]) == place]
            name = f"ISM, {attack}, {purification}"
            found += compare(paired(by_person(here, "ism_all")), metric=name)
    adjusted = holm([one.difference.p for one in found])
    return [replace(one, adjusted=p) for one, p in zip(found, adjusted, strict=True)]


def notes(rows: Sequence[Row]) -> list[str]:
    """What the figures are, and what they cannot show."""
    people, made = len(unique(rows, "person")), comparisons(rows)
    passed = [one for one in made if one.adjusted <= LEVEL]
    said = [
        f"{count(people)}. ISM counts pictures without a face, and a person below 0, as 0. "
        "Differences from the clean arm are paired over people, with 95 % intervals (Student's t). "
        "FDFR has its own interval over people (Korn and Graubard). One seed of the attack: its own spread is in no interval.",
    ]
    if made:
        least = made[0].difference.least_p
        said.append(
            f"{len(made)} comparisons of ISM in all; the least p that {count(people)} can give is {least:.2g}. "
            f"After Holm over all of them, {len(passed)} have p <= {LEVEL:g}"
            + (f": {reach(people, len(made))}." if reach(people, len(made)) else ".")
        )
    return [*said, BOXES]


def markdown(rows: Sequence[Row]) -> str:
    """The tables as Markdown."""
    parts = []
    for purification, attacks, lines in tables(rows):
        head = [
            "arm",
            *(f"{attack} {name}" for attack in attacks for name in HEADS),
        ]
        parts += [
            f"Purification: {purification}",
            "",
            markdown_table(head, [[arm, *cells] for arm, cells in lines]),
            "",
        ]
    return "\n".join([*parts, *notes(rows)]) + "\n"


def curve(rows: Sequence[Row]) -> str:
    """ISM of every arm over the purifications, for each attack that met at least two of them.

    SVG, empty if none did.
    """
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
                values = [
                    identity_score(
                        [
                            r["ism_all"]
                            for r in here
                            if (r["arm"], r["purification"]) == (arm, place)
                        ]
                    )
                    for place in places
                ]
                known = [group[np.isfinite(group)] for group in values]
                means = [group.mean() if len(group) else np.nan for group in known]
                axes.errorbar(
                    range(len(places)),
                    means,
                    yerr=np.array(
                        [_bars(group, mean) for group, mean in zip(known, means, strict=True)]
                    ).T,
                    marker="o",
                    capsize=3,
                    label=arm,
                )
            axes.set_xticks(range(len(places)), places)
            axes.set_ylabel("ISM, no face = 0; 95 % over people")
            axes.set_title(attack)
            axes.grid(alpha=0.3)
            axes.legend()
        return figure_url(drawing)


def _bars(values: Values, mean: float) -> tuple[float, float]:
    """Distances of a mean from its interval's ends.

    NaN, which draws no bar, without an interval.
    """
    interval = mean_interval(values, (0.0, 1.0))
    return (np.nan, np.nan) if interval is None else (mean - interval.low, interval.high - mean)


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
