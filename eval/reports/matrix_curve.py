"""Plot of a matrix: ISM over the purifications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.pages.data_urls import figure_url
from engine.statistics import mean_interval
from eval.reports.comparisons import Values, identity_score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = dict[str, Any]


def curve(rows: Sequence[Row]) -> str:
    """Plot the ISM of each arm over the purifications, as SVG.

    Each attack with at least two purifications has a panel. Without such an attack the result is
    empty.
    """
    # Rows of each attack with at least two purifications.
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row["attack"]), []).append(row)
    panels = {}
    for attack, here in groups.items():
        if len({row["purification"] for row in here}) > 1:
            panels[attack] = here
    if not panels:
        return ""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        drawing = Figure(figsize=(9, 3.2 * len(panels)), layout="constrained")
        for index, (attack, here) in enumerate(panels.items()):
            axes = drawing.add_subplot(len(panels), 1, index + 1)
            purifications = list(dict.fromkeys(str(row["purification"]) for row in here))
            for arm in dict.fromkeys(str(row["arm"]) for row in here):
                _draw_arm(axes, [row for row in here if row["arm"] == arm], purifications, arm)
            axes.set_xticks(range(len(purifications)), purifications)
            axes.set_ylabel("ISM, no face = 0; 95 % over people")
            axes.set_title(attack)
            axes.grid(alpha=0.3)
            axes.legend()
        return figure_url(drawing)


def _draw_arm(axes: Axes, rows: Sequence[Row], purifications: Sequence[str], arm: str) -> None:
    """Plot the means of one arm with their intervals."""
    means = []
    bars = []
    for purification in purifications:
        scores = [row["ism_all"] for row in rows if row["purification"] == purification]
        values = identity_score(scores)
        known = values[np.isfinite(values)]
        mean = known.mean() if len(known) else np.nan
        means.append(mean)
        bars.append(_bars(known, mean))
    axes.errorbar(
        range(len(purifications)),
        means,
        yerr=np.array(bars).T,
        marker="o",
        capsize=3,
        label=arm,
    )


def _bars(values: Values, mean: float) -> tuple[float, float]:
    """Distances of a mean from the ends of its interval.

    Both are NaN without an interval; matplotlib then draws no bar.
    """
    interval = mean_interval(values, (0.0, 1.0))
    return (np.nan, np.nan) if interval is None else (mean - interval.low, interval.high - mean)
