"""MPBench's table (arXiv 2304.13023): columns, averages and the paper's rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Row:
    """Accuracies of one detector, in per cent.

    Attributes:
        real: Accuracy by real set, in the table's order; None if not scored.
        generated: Accuracy by generated set, in the table's order; None if not scored.
    """

    real: dict[str, float | None]
    generated: dict[str, float | None]

    @property
    def real_average(self) -> float | None:
        """Mean over the real sets; None unless all are scored."""
        return _mean(list(self.real.values()))

    @property
    def generated_average(self) -> float | None:
        """Mean over the generated sets; None unless all are scored."""
        return _mean(list(self.generated.values()))

    @property
    def total(self) -> float | None:
        """Mean over all 14 sets, the paper's total; 11 are generated."""
        return _mean([*self.real.values(), *self.generated.values()])

    @property
    def balanced(self) -> float | None:
        """Mean of the two averages; predicting one class everywhere gives 50."""
        return _mean([self.real_average, self.generated_average])

    def record(self) -> dict[str, Any]:
        """Return accuracies and averages by name, as summaries keep them."""
        averages = ("real_average", "generated_average", "total", "balanced")
        kept = {name: getattr(self, name) for name in averages}
        return {"real": self.real, "generated": self.generated, **kept}


@cache
def _table() -> dict[str, Any]:
    """Read ``mpbench.yaml``."""
    return dict(yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text()))


def columns(kind: str) -> list[str]:
    """List the ``real`` or ``generated`` sets, in the table's order."""
    return list(_table()["columns"][kind])


def paper_rows() -> dict[str, Row]:
    """Return the paper's rows by name.

    A name states training setting, network, and the share of blurred and JPEG-coded images.
    """
    rows = {}
    for name, values in _table()["rows"].items():
        # three real sets, their average, then the generated sets
        real = dict(zip(columns("real"), values[:3], strict=True))
        generated = dict(zip(columns("generated"), values[4:15], strict=True))
        rows[name] = Row(real, generated)
    return rows


def printed_averages(name: str) -> tuple[float, float, float]:
    """Return a row's averages as printed in the paper: real, generated, total."""
    values = _table()["rows"][name]
    return values[3], values[15], values[16]


def _mean(values: list[float | None]) -> float | None:
    """Compute the mean; None if a value is missing, or there are none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
