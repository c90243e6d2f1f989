"""Charts of pages: values with intervals, curves and histograms.

They are drawn by the macros of ``charts.html`` as SVG that takes the page's colors and width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

Bars = list[list[tuple[str, float, float]]]
"""Pieces of each bar of a histogram; see :func:`histogram`."""


@dataclass(frozen=True)
class Scale:
    """A scale that several drawings share.

    Attributes:
        low: Left end.
        high: Right end.
        thresholds: Values that every drawing marks.
    """

    low: float
    high: float
    thresholds: Sequence[float] = ()

    def place(self, value: float) -> float:
        """Place of a value, in percent; values beyond an end lie there."""
        return round(float(np.clip((value - self.low) / (self.high - self.low), 0, 1)) * 100, 2)


@dataclass(frozen=True)
class Mark:
    """A value in a chart, with its interval.

    Attributes:
        row: Name of the row.
        series: Name of the series, such as an arm.
        value: The value; a mark with NaN is not drawn.
        interval: Ends of its interval; None without one.
    """

    row: str
    series: str
    value: float
    interval: Sequence[float] | None = None


@dataclass(frozen=True)
class IntervalChart:
    """Values with intervals, one row under another on one scale.

    Attributes:
        name: What is shown, with the unit and the kind of the intervals.
        marks: The values.
        low: Left end of the scale.
        high: Right end of the scale.
    """

    name: str
    marks: Sequence[Mark]
    low: float
    high: float

    @property
    def series(self) -> list[str]:
        """Names of the series, in order of appearance."""
        return list(dict.fromkeys(mark.series for mark in self.marks))

    @property
    def rows(self) -> dict[str, list[tuple[int, float, float, float]]]:
        """Number of the series, left end, value and right end of each row's marks, in percent."""
        numbers = {name: number for number, name in enumerate(self.series)}
        rows: dict[str, list[tuple[int, float, float, float]]] = {}
        for mark in self.marks:
            row = rows.setdefault(mark.row, [])
            if np.isfinite(mark.value):
                left, right = mark.interval or (mark.value, mark.value)
                ends = (self.place(left), self.place(mark.value), self.place(right))
                row.append((numbers[mark.series], *ends))
        return rows

    def place(self, value: float) -> float:
        """Place of a value on the scale, in percent."""
        return Scale(self.low, self.high).place(value)


def curve_points(x: Values, y: Values, most: int = 200) -> str:
    """Points of a curve within the unit square, as SVG's ``polyline`` wants them.

    Args:
        x: Values from 0 to 1, (n,).
        y: Values from 0 to 1, (n,).
        most: Number of points to draw at most.
    """
    chosen = np.unique(np.linspace(0, len(x) - 1, min(most, len(x))).round().astype(int))
    points = zip(x[chosen], y[chosen], strict=True)
    return " ".join(f"{100 * left:.2f},{100 * (1 - up):.2f}" for left, up in points)


def density_points(
    values: Mapping[str, Sequence[float]], low: float, high: float, bins: int = 40
) -> dict[str, str]:
    """Steps of each kind's histogram, all on one scale, as SVG's ``polyline`` wants them.

    Args:
        values: Values of each kind.
        low: Left end of the scale.
        high: Right end of the scale.
        bins: Number of steps.
    """
    edges = np.linspace(low, high, bins + 1)
    shares = {kind: np.histogram(of, edges)[0] / max(1, len(of)) for kind, of in values.items()}
    highest = max([1e-12, *(float(of.max()) for of in shares.values())])
    across = np.repeat(np.linspace(0, 1, bins + 1), 2)[1:-1]
    drawn = {}
    for kind, of in shares.items():
        drawn[kind] = curve_points(across, np.repeat(of / highest, 2))
    return drawn


def histogram(
    values: Mapping[str, Sequence[float]], bins: int = 20, scale: Scale = Scale(0, 1)
) -> Bars:
    """Bars of a histogram, stacked by kind.

    Args:
        values: Values of each kind; those beyond the scale are counted at its ends.
        bins: Number of bars.
        scale: Where the bars begin and end.

    Returns:
        For each bar, from the bottom: kind, lower end and height of its pieces, in percent of the
        highest bar.
    """
    low, high = scale.low, scale.high
    edges = np.linspace(low, high, bins + 1)
    counts = {kind: np.histogram(np.clip(of, low, high), edges)[0] for kind, of in values.items()}
    highest = max(1, int(sum(counts.values(), np.zeros(bins, int)).max()))
    bars = []
    for place in range(bins):
        pieces = []
        below = 0.0
        for kind, of in counts.items():
            height = 100 * float(of[place]) / highest
            if height:
                pieces.append((kind, round(below, 2), round(height, 2)))
            below += height
        bars.append(pieces)
    return bars
