"""Figures of the shipped models, with what they are of and their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.statistics import (
    Interval,
    bootstrap_interval,
    mean_interval,
    proportion_interval,
    share_interval,
)

RESAMPLES = 400
"""Bootstrap samples of an interval."""


@dataclass(frozen=True)
class Figure:
    """A measured figure.

    Attributes:
        value: The figure.
        units: What it is of, such as ``96 images``; empty for a setting.
        interval: Its 95 % interval over these units; None if it has none.
    """

    value: float
    units: str = ""
    interval: Interval | None = None

    def __str__(self) -> str:
        value = _number(self.value)
        if self.interval is None:
            return value
        return f"{value} ({_number(self.interval.low)} to {_number(self.interval.high)})"

    def record(self) -> dict[str, Any]:
        """Return the figure as plain values."""
        low, high = self.interval or (None, None)
        return {"value": self.value, "low": low, "high": high, "of": self.units}


Figures = Mapping[str, Figure | Mapping[str, Figure]]
"""Figures by name, or by group and name."""


def share(hits: ArrayLike, kind: str) -> Figure:
    """Compute a share of units with its exact interval.

    Args:
        hits: (n,) True for units that count.
        kind: Plural of the unit, such as ``images``.
    """
    counted = np.asarray(hits, dtype=bool)
    count, total = int(counted.sum()), len(counted)
    return Figure(count / total, f"{total} {kind}", proportion_interval(count, total))


def mean_share(shares: ArrayLike, kind: str, trials: str) -> Figure:
    """Compute a mean of shares with its interval over units.

    Args:
        shares: (n,) share of each unit, of equally many trials.
        kind: Plural of the unit, such as ``people``.
        trials: Trials of a unit, such as ``2 images``.
    """
    values = np.asarray(shares, dtype=np.float64)
    units = f"{len(values)} {kind} x {trials}"
    return Figure(float(values.mean()), units, share_interval(values))


def mean(values: ArrayLike, kind: str) -> Figure:
    """Compute a mean of values, (n,), with Student's t interval over units."""
    numbers = np.asarray(values, dtype=np.float64)
    return Figure(float(numbers.mean()), f"{len(numbers)} {kind}", mean_interval(numbers))


def mean_between(values: NDArray[np.float32], kind: str) -> Figure:
    """Compute a mean over pairs of two units, with the bootstrap interval over units.

    Args:
        values: (n, n) value of each pair; the diagonal is left out.
        kind: Plural of the unit.
    """

    def of_resample(units: NDArray[np.int64]) -> float:
        different = units[:, None] != units
        return float(values[np.ix_(units, units)][different].mean())

    count = len(values)
    interval = bootstrap_interval(of_resample, count, resamples=RESAMPLES, seed=0)
    return Figure(of_resample(np.arange(count)), f"pairs of {count} {kind}", interval)


def figure_table(figures: Figures) -> str:
    """Format a Markdown table with a row for each figure; groups are in the names."""
    lines = ["| figure | value (95 %) | of |", "|---|---|---|"]
    for name, entry in figures.items():
        rows = {name: entry} if isinstance(entry, Figure) else _named(name, entry)
        for label, figure in rows.items():
            lines.append(f"| {label.replace('_', ' ')} | {figure} | {figure.units or '-'} |")
    return "\n".join(lines)


def plain(figures: Figures) -> dict[str, Any]:
    """Return figures as plain values, for JSON."""
    values = {}
    for name, entry in figures.items():
        values[name] = entry.record() if isinstance(entry, Figure) else plain(entry)
    return values


def _named(group: str, figures: Mapping[str, Figure]) -> dict[str, Figure]:
    return {f"{group}: {name}": figure for name, figure in figures.items()}


def _number(value: float) -> str:
    """Format with three decimals, or more where those would read 0 or 1."""
    if isinstance(value, int):
        return str(value)
    if value in (0.0, 1.0):
        return f"{value:.0f}"
    text = f"{value:.3f}"
    return f"{value:.5f}" if text.lstrip("-") in ("0.000", "1.000") else text
