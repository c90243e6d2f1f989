"""Comparison of two runs: figures, differences, and settings that differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.pages.charts import IntervalChart, Mark
from engine.pages.shell import number
from engine.statistics import Interval, holm_of_known, paired_difference, paired_recall
from eval.reports.comparisons import span

Values = NDArray[np.float64]

HEAD = ["figure", "A", "B", "B - A", "95 % interval", "n", "p", "least p", "Holm's p"]
"""Columns of the table."""


@dataclass(frozen=True)
class Figure:
    """One figure of both runs.

    Attributes:
        name: Name of the figure.
        a: Value of run A.
        b: Value of run B.
        interval: 95 % interval of ``b - a``; None if it is undefined or the runs are not paired.
        n: Number of pairs; 0 if the runs are not paired.
        p: Two-sided p-value; None without a test.
        least_p: Least p-value that so many pairs can give; None without a test.
    """

    name: str
    a: float
    b: float
    interval: Interval | None = None
    n: int = 0
    p: float | None = None
    least_p: float | None = None

    @property
    def difference(self) -> float:
        """Value of B minus that of A."""
        return self.b - self.a


def paired_values(name: str, a: Values, b: Values, bounds: tuple[float, float]) -> Figure:
    """Compare the values of the same units in both runs.

    Args:
        name: Name of the figure.
        a: (n,) values of run A, finite.
        b: (n,) values of run B, of the same units.
        bounds: Range of possible differences.
    """
    found = paired_difference(b, a, bounds)
    p, least = (found.p, found.least_p) if found.n > 1 else (None, None)
    return Figure(name, float(a.mean()), float(b.mean()), found.interval, found.n, p, least)


def paired_shares(name: str, a: NDArray[np.bool_], b: NDArray[np.bool_]) -> Figure:
    """Compare the shares of the same units that succeed in each run.

    Args:
        name: Name of the figure.
        a: (n,) True for units that succeed in run A.
        b: (n,) the same of run B.
    """
    found = paired_recall(b, a)
    least = min(1.0, 2 * 0.5**found.n)  # if all pairs differ, in one direction
    return Figure(name, float(a.mean()), float(b.mean()), found.interval, found.n, found.p, least)


def unpaired(name: str, a: Values, b: Values) -> Figure:
    """Compare the means of other units; the difference has no interval.

    Args:
        name: Name of the figure.
        a: (n,) values of run A.
        b: (m,) values of run B.
    """
    return Figure(name, float(np.mean(a)), float(np.mean(b)))


@dataclass(frozen=True)
class Compared:
    """Two compared runs.

    Attributes:
        kind: Kind of the runs, such as ``protection``.
        unit: What is paired, such as ``person``.
        pairing: Sentence on the pairs, or on why there are none.
        figures: Figures of both runs.
        settings: Settings that differ: name, value of A, value of B.
        notes: Sentences on what cannot be compared.
        bounds: Ends of the chart's scale of differences.
    """

    kind: str
    unit: str
    pairing: str
    figures: list[Figure]
    settings: list[tuple[str, str, str]]
    notes: list[str] = field(default_factory=list)
    bounds: tuple[float, float] = (-1.0, 1.0)

    @property
    def adjusted(self) -> list[float | None]:
        """p-values after Holm over all figures with a test."""
        return holm_of_known([one.p for one in self.figures])

    @property
    def rows(self) -> list[list[str]]:
        """Rows of the table, with the columns :data:`HEAD`."""
        rows = []
        for one, adjusted in zip(self.figures, self.adjusted, strict=True):
            rows.append(
                [
                    one.name,
                    number(one.a, "-"),
                    number(one.b, "-"),
                    f"{one.difference:+.3f}" if one.difference == one.difference else "-",
                    span(one.interval, signed=True) or "-",
                    str(one.n) if one.n else "-",
                    "-" if one.p is None else f"{one.p:.4f}",
                    "-" if one.least_p is None else f"{one.least_p:.4f}",
                    "-" if adjusted is None else f"{adjusted:.4f}",
                ]
            )
        return rows

    @property
    def headline(self) -> str:
        """Which figures differ beyond their interval, in one sentence."""
        known = sum(one.interval is not None for one in self.figures)
        of = f"{known} {'figure' if known == 1 else 'figures'} with an interval"
        if not known:
            return "No difference has an interval, so none is shown."
        shown = [
            f"{one.name} {one.difference:+.3f}"
            for one in self.figures
            if one.interval and not one.interval.low <= 0 <= one.interval.high
        ]
        if not shown:
            return f"No difference is shown: every 95 % interval includes 0 ({of})."
        listed = ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")
        found = f"B differs from A in {len(shown)} of {of}"
        return f"{found}, each by its own 95 % interval, not adjusted for their number: {listed}."

    @property
    def chart(self) -> IntervalChart:
        """Chart of the differences with intervals."""
        marks = [
            Mark(one.name, "B - A", one.difference, one.interval)
            for one in self.figures
            if one.interval
        ]
        return IntervalChart(f"B - A, 95 % over pairs ({self.unit})", marks, *self.bounds)


def differing_settings(
    a: Mapping[str, Any] | None, b: Mapping[str, Any] | None
) -> list[tuple[str, str, str]]:
    """List the settings that differ between two manifests.

    Args:
        a: Manifest of run A; None without one.
        b: Manifest of run B; None without one.

    Returns:
        Name, value of A and value of B; a missing value is a dash.
    """
    sides = [dict(_flat(_facts(one or {}))) for one in (a, b)]
    names = list(dict.fromkeys([*sides[0], *sides[1]]))
    values = [(name, sides[0].get(name, "-"), sides[1].get(name, "-")) for name in names]
    return [(name, first, second) for name, first, second in values if first != second]


def _facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of a manifest that describe a run."""
    kept = {"command": manifest.get("command"), "version": manifest.get("version")}
    settings = manifest.get("settings")
    kept |= dict(settings) if isinstance(settings, dict) else {}
    return kept | {
        name: manifest[name]
        for name in ("detectors", "data", "cells", "bound", "seed")
        if name in manifest
    }


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the plain values of nested mappings by dotted names; lists are one value."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif value is not None:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        yield name, text if len(text) <= 80 else f"{text[:77]}..."
