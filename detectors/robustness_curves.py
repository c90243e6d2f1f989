"""Curves of a robustness sweep."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write_curves(target: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Plot AUC and balanced accuracy over the levels of each kind.

    Dotted lines are the values without an edit.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    panel_rows = -(-len(kinds) // 3)
    with mpl.rc_context({"svg.hashsalt": "robustness", "font.size": 8}):
        drawing = Figure(figsize=(11, 2.5 * panel_rows), layout="constrained")
        for index, kind in enumerate(kinds):
            axes = drawing.add_subplot(panel_rows, 3, index + 1)
            levels = [row for row in rows if row["kind"] == kind]
            _draw_kind(axes, levels, rows[0])
            axes.set_title(kind)
            rotation = 20 if kind == "social" else 0
            axes.set_xticks(range(len(levels)), [row["level"] for row in levels], rotation=rotation)
            axes.set_ylim(0.3, 1.02)
            axes.grid(alpha=0.3)
        axes.legend()
        buffer = io.BytesIO()
        drawing.savefig(buffer, format="svg", metadata={"Date": None})
    write_bytes(target, buffer.getvalue())


def _draw_kind(axes: Axes, levels: Sequence[Mapping[str, Any]], native: Mapping[str, Any]) -> None:
    """Plot both figures of one kind's levels, and their native values."""
    for figure, color in (("auc", "tab:blue"), ("balanced_accuracy", "tab:orange")):
        values = _values(levels, figure)
        below = np.subtract(values, _values(levels, f"{figure}_low"))
        above = np.subtract(_values(levels, f"{figure}_high"), values)
        axes.errorbar(
            range(len(levels)),
            values,
            yerr=np.maximum([below, above], 0),
            marker="o",
            capsize=2,
            color=color,
            label=f"{figure.replace('_', ' ')}, 95 %",
        )
        if native[figure] is not None:
            axes.axhline(native[figure], color=color, linewidth=0.7, linestyle=":")


def _values(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """Values of a column; NaN for None."""
    return [np.nan if row[name] is None else row[name] for row in rows]
