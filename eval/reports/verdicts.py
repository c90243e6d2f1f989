"""Verdicts on a protection, from paired differences over people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engine.statistics import PairedDifference, mean_interval
from engine.statistics.bootstrap import Values
from eval.reports.comparisons import SHARES, compare, count
from eval.reports.matrix import by_arm, by_person, unique

Row = dict[str, Any]

Verdict = Literal["holds", "fails", "not shown", "weak attack"]

MARGIN = 0.05
"""Difference below which a protection counts as without effect."""

SIGNS = {"ism_all": 1, "fdfr": -1}
"""Sign that makes a difference negative where a person comes through less."""

NAMES = {"ism_all": "ISM", "fdfr": "FDFR"}

CRITERIA = (
    "Holds: the whole 95 % interval of the paired difference over people shows less identity by "
    f"more than {MARGIN:g}. Fails: it shows an effect of less than {MARGIN:g}. Not shown: neither. "
    "Every interval is of its cell alone, not adjusted for the number of cells."
)
"""Explanation of the verdicts."""


@dataclass(frozen=True)
class CellVerdict:
    """Effect of a protection under one attack and purification.

    Attributes:
        attack: Name of the attack.
        model: Name of the attacked model; empty if it was not recorded.
        purification: Name of the purification.
        metric: Metric of the difference: ism_all, or fdfr where no face is recognized.
        values: Mean of the metric by arm.
        difference: Paired difference, protected minus clean; None without people in both arms.
        reach: Least identity that the attack is shown to reach without protection: the lower end of
            the 95 % interval of ISM over people, or of the share of images with a face.
        minutes: Minutes of the cell, all people and arms; None if not recorded.
    """

    attack: str
    model: str
    purification: str
    metric: str
    values: Mapping[str, float]
    difference: PairedDifference | None
    reach: float
    minutes: float | None

    @property
    def verdict(self) -> Verdict:
        """Verdict by the intervals alone; see :data:`CRITERIA`."""
        difference = self.difference
        if difference is None or difference.interval is None:
            return "not shown"
        if self.reach <= MARGIN:
            return "weak attack"
        ends = [SIGNS[self.metric] * end for end in difference.interval]
        if min(ends) > -MARGIN:
            return "fails"
        return "holds" if max(ends) < -MARGIN else "not shown"

    @property
    def name(self) -> str:
        """Attack and purification in words."""
        if self.purification == "none":
            return self.attack
        return f"{self.attack} after {self.purification}"


def judge_cells(rows: Sequence[Row], arm: str, baseline: str = "clean") -> list[CellVerdict]:
    """Judge an arm in every cell, in the order of the rows.

    Args:
        rows: Rows of ``results.parquet``.
        arm: Name of the protection.
        baseline: Name of the arm without protection.
    """
    cells: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        cells.setdefault((str(row["attack"]), str(row["purification"])), []).append(row)
    verdicts = []
    for (attack, purification), here in cells.items():
        metric = "ism_all" if _any_known(by_arm(by_person(here, "ism_all"))) else "fdfr"
        values = by_arm(by_person(here, metric))
        compared = compare(values, baseline, NAMES[metric], SHARES)
        found = [one.difference for one in compared if (one.a, one.b) == (arm, baseline)]
        means = {name: _mean(of_arm) for name, of_arm in values.items()}
        minutes = [row.get("minutes") for row in here]
        known = [value for value in minutes if value is not None]
        verdicts.append(
            CellVerdict(
                attack,
                str(here[0].get("model") or ""),
                purification,
                metric,
                means,
                found[0] if found else None,
                _reach(values.get(baseline, np.zeros(0)), metric),
                sum(known) if len(known) == len(minutes) else None,
            )
        )
    return verdicts


def headline(verdicts: Sequence[CellVerdict], rows: Sequence[Row], arm: str) -> str:
    """State in one sentence what a protection survives, and what not.

    Args:
        verdicts: Result of :func:`judge_cells`.
        rows: The rows that it judged.
        arm: Name of the protection.
    """
    people = len(unique(rows, "person"))
    if people < 2:
        found = []
        for one in verdicts:
            before, after = (one.values.get(name, np.nan) for name in ("clean", arm))
            found.append(f"{before:.2f} to {after:.2f} with {one.name}")
        return (
            "One person allows no interval over people, so nothing is shown about others; for "
            f"this person {NAMES[verdicts[0].metric]} went from {', '.join(found)}."
        )
    by_verdict: defaultdict[Verdict, list[str]] = defaultdict(list)
    for one in verdicts:
        by_verdict[one.verdict].append(one.name)
    fails = "it does not survive " if by_verdict["holds"] else "the protection does not survive "
    parts = []
    if by_verdict["holds"]:
        parts.append("the protection survives " + join(by_verdict["holds"]))
    if by_verdict["fails"]:
        parts.append(fails + join(by_verdict["fails"]))
    if by_verdict["not shown"]:
        parts.append("nothing is shown for " + join(by_verdict["not shown"]))
    if by_verdict["weak attack"]:
        parts.append(f"too weak without protection to judge by: {join(by_verdict['weak attack'])}")
    return f"Over {count(people)}, {'; '.join(parts)}."


def join(names: Sequence[str]) -> str:
    """Join names with commas and a last 'and'."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _reach(clean: Values, metric: str) -> float:
    """Lower end of the interval of identity without protection; NaN if nothing is known."""
    known = clean[np.isfinite(clean)]
    identity = 1 - known if metric == "fdfr" else known
    interval = mean_interval(identity)
    return _mean(identity) if interval is None else interval.low


def _any_known(values: Mapping[str, Any]) -> bool:
    """Return True if a value of any arm is finite."""
    return any(np.isfinite(of_arm).any() for of_arm in values.values())


def _mean(values: Values) -> float:
    """Mean of the finite values; NaN if there are none."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
