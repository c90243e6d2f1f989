"""Charts of a matrix: ISM after each purification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.pages.charts import IntervalChart, Mark
from engine.statistics import mean_interval
from eval.reports.comparisons import identity_score

Row = dict[str, Any]


def charts(rows: Sequence[Row]) -> list[IntervalChart]:
    """Charts of the mean ISM of each arm after each purification, one for each attack."""
    groups: dict[str, dict[tuple[str, str], list[float | None]]] = {}
    for row in rows:
        cell = (str(row["purification"]), str(row["arm"]))
        groups.setdefault(str(row["attack"]), {}).setdefault(cell, []).append(row["ism_all"])
    drawn = []
    for attack, cells in groups.items():
        marks = [_mark(*cell, scores) for cell, scores in cells.items()]
        name = f"{attack}: ISM after each purification, no face = 0, 95 % over people"
        drawn.append(IntervalChart(name, marks, 0.0, 1.0))
    return drawn


def _mark(purification: str, arm: str, scores: Sequence[float | None]) -> Mark:
    """Mean ISM of one arm with its interval."""
    values = identity_score(scores)
    known = values[np.isfinite(values)]
    mean = float(known.mean()) if len(known) else np.nan
    return Mark(purification, arm, mean, mean_interval(known, (0.0, 1.0)))
