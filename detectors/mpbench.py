"""MPBench's table (arXiv 2304.13023): its 14 columns, its averages, and the paper's own rows for comparison."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Row:
    """One detector's accuracies, in per cent; None where a set was not scored.

    Attributes:
        real: By real set, in the table's order.
        generated: By generated set.
    """

    real: dict[str, float | None]
    generated: dict[str, float | None]

    @property
    def real_average(self) -> float | None:
        """Mean of the real sets; None unless all were scored."""
        return _mean(list(self.real.values()))

    @property
    def generated_average(self) -> float | None:
        """Mean of the generated sets; None unless all were scored."""
        return _mean(list(self.generated.values()))

    @property
    def total(self) -> float | None:
        """The paper's total: the mean of all 14, in which generated sets count 11 to 3."""
        return _mean([*self.real.values(), *self.generated.values()])

    @property
    def balanced(self) -> float | None:
        """Mean of the two averages, which no guess in one direction can win."""
        return _mean([self.real_average, self.generated_average])


@cache
def _table() -> dict[str, Any]:
    return dict(yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text()))


def columns(kind: str) -> list[str]:
    """Names of the ``real`` or ``generated`` sets, in the table's order."""
    return list(_table()["columns"][kind])


def paper_rows() -> dict[str, Row]:
    """The paper's rows, by training setting, network and share of blurred and JPEG-coded pictures."""
    reals, fakes = columns("real"), columns("generated")
    return {
        name: Row(
            dict(zip(reals, values[:3], strict=True)), dict(zip(fakes, values[4:15], strict=True))
        )
        for name, values in _table()["rows"].items()
    }


def printed_averages(name: str) -> tuple[float, float, float]:
    """What the paper printed for a row: real average, generated average, total."""
    values = _table()["rows"][name]
    return values[3], values[15], values[16]


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
