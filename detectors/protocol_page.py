"""Page of a protocol: what is seen, what is new, and every split on every generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from detectors.summary import figure
from engine.pages import shell
from engine.pages.charts import IntervalChart, Mark

Rows = Sequence[Mapping[str, Any]]

NEW = ("", "next", "later", "unseen")
"""Relations of generators that a split was not trained on."""

ABOUT = {
    "windows": "Each split is trained on all generators up to a release date.",
    "leave-one-out": "Each split is trained on all generators but one.",
    "families": "Each split is trained on one family of generators.",
}


def write_page(target: Path, kind: str, rows: Rows, groups: Sequence[str]) -> None:
    """Write the page.

    Args:
        target: The file.
        kind: Kind of the protocol.
        rows: Rows of ``protocol.csv``.
        groups: Names of the groups, in order.
    """
    trained = bool(rows[0]["trained_on"])
    splits = list(dict.fromkeys(row["split"] for row in rows))
    matrix = [[split, *(_cell(rows, split, group) for group in groups)] for split in splits]
    shell.write_page(
        target,
        "detectors/protocol.html",
        about=ABOUT[kind] if trained else "The weights were given, not trained here.",
        trained=trained,
        means=mean_rows(rows),
        matrix_head=["split", *groups],
        matrix=matrix,
        chart=chart(rows),
        head=[
            "split",
            "generator",
            "relation",
            "real + generated",
            "AUC (95 %)",
            "average precision",
            "balanced accuracy (95 %)",
        ],
        rows=[_line(row) for row in rows],
    )


def mean_rows(rows: Rows) -> list[list[str]]:
    """List mean AUC and balanced accuracy of each relation, over splits and generators."""
    lines = []
    for relation in ("seen", "next", "later", "unseen", ""):
        part = [row for row in rows if row["relation"] == relation]
        if not part:
            continue
        means = []
        for name in ("auc", "balanced_accuracy"):
            known = [row[name] for row in part if row[name] is not None]
            means.append(figure(fmean(known) if known else None))
        lines.append([relation or "given weights", str(len(part)), *means])
    return lines


def chart(rows: Rows) -> IntervalChart:
    """Chart the AUC on generators that a split was not trained on."""
    marks = []
    for row in rows:
        if row["relation"] not in NEW:
            continue
        ends = (row["auc_low"], row["auc_high"])
        value = np.nan if row["auc"] is None else row["auc"]
        label = f"{row['split']} | {row['generator']}"
        marks.append(Mark(label, "AUC", value, None if None in ends else ends))
    return IntervalChart("AUC on generators that were not trained on, 95 %", marks, 0.0, 1.0)


def _cell(rows: Rows, split: str, group: str) -> str:
    """Format the mean AUC of a split on a group, with their relation."""
    part = [row for row in rows if (row["split"], row["group"]) == (split, group)]
    known = [row["auc"] for row in part if row["auc"] is not None]
    if not known:
        return shell.MISSING
    relation = part[0]["relation"]
    return f"{fmean(known):.3f} {relation}".strip()


def _line(row: Mapping[str, Any]) -> list[str]:
    """Format a row of the table."""
    cells = [row["split"], row["generator"], row["relation"] or shell.MISSING]
    cells.append(f"{row['real']} + {row['generated']}")
    cells.append(_with_interval(row, "auc"))
    cells.append(figure(row["average_precision"]))
    cells.append(_with_interval(row, "balanced_accuracy"))
    return cells


def _with_interval(row: Mapping[str, Any], name: str) -> str:
    """Format a figure with its interval."""
    if row[f"{name}_low"] is None:
        return figure(row[name])
    return f"{figure(row[name])} ({row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f})"
