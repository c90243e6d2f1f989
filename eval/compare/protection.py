"""Comparison of two protection studies, matrices or red teams."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.manifest import read_manifest
from eval.compare.compared import (
    Compared,
    Figure,
    differing_settings,
    paired_values,
    unpaired,
)
from eval.reports.comparisons import SHARES, count, reach
from eval.reports.matrix import by_person
from eval.studies.rows import Cell, ProtectionResults, open_results

METRICS = {"ism_all": "ISM", "fdfr": "FDFR"}

OWN = ("attack", "purification", "weights")
"""Settings of a cell alone."""


def compare_protection(a: Path, b: Path) -> Compared:
    """Compare two runs, paired over the people with equal images.

    Args:
        a: Folder of run A.
        b: Folder of run B.

    Raises:
        ValueError: If results are damaged, or the runs share no cell and arm.
    """
    one, other = open_results(a), open_results(b)
    pairs, doubt = _same_people(one, other)
    figures: list[Figure] = []
    notes: list[str] = []
    shared = _shared_cells(one, other)
    for (cell, cell_of_b), name in shared:
        for arm in one.arms:
            if arm in other.arms:
                label = f"{name}, {arm}"
                figures += _figures(one, other, cell, cell_of_b, arm, label, pairs)
    if not figures:
        msg = f"{a} and {b}: no arm under the same attack and purification in both"
        raise ValueError(msg)
    for first, second, side in ((one, other, "A"), (other, one, "B")):
        if only := [arm for arm in first.arms if arm not in second.arms]:
            notes.append(f"Only {side} has the arms {', '.join(only)}.")
        cells = ["/".join(cell) for cell in first.cells if cell not in second.cells]
        if cells and len(one.cells) + len(other.cells) > 2:
            notes.append(f"Only {side} has the cells {', '.join(cells)}.")
    if pairs:
        left = len(one.people) + len(other.people) - 2 * len(pairs)
        pairing = f"Paired over {count(len(pairs))} in both runs{doubt}."
        pairing += f" {count(left)} of one run only are left out." if left else ""
    else:
        pairing = (
            "Not paired: the runs have no person with the same images, so differences have no "
            "interval. Means are over all people of each run."
        )
    tested = [figure.n for figure in figures if figure.p is not None]
    if words := reach(max(tested, default=0), len(tested)):
        notes.append(f"{words}.")
    manifests = [
        _manifest(run, [pair[side] for pair, _ in shared]) for side, run in enumerate((one, other))
    ]
    settings = differing_settings(*manifests)
    return Compared("protection", "person", pairing, figures, settings, notes)


def _same_people(one: ProtectionResults, other: ProtectionResults) -> tuple[list[str], str]:
    """List the people of both runs, and words on those known by name only."""
    hashes, others = one.people, other.people
    shared = [name for name in hashes if name in others]
    same = [n for n in shared if not hashes[n] or not others[n] or hashes[n] == others[n]]
    unhashed = any(not hashes[name] or not others[name] for name in same)
    return same, ", by name alone since a run recorded no hashes of images" if unhashed else ""


def _shared_cells(
    one: ProtectionResults, other: ProtectionResults
) -> list[tuple[tuple[Cell, Cell], str]]:
    """Pairs of cells to compare, with their name; two runs of one cell each are one pair."""
    if len(one.cells) == len(other.cells) == 1:
        (first,), (second,) = one.cells, other.cells
        names = [f"{attack}, {purification}" for attack, purification in (first, second)]
        return [((first, second), names[0] if first == second else " | ".join(names))]
    return [((cell, cell), ", ".join(cell)) for cell in one.cells if cell in other.cells]


def _figures(
    one: ProtectionResults,
    other: ProtectionResults,
    cell: Cell,
    cell_of_b: Cell,
    arm: str,
    label: str,
    people: list[str],
) -> list[Figure]:
    """Figures of an arm in a cell.

    Args:
        one: Run A.
        other: Run B.
        cell: Cell of run A.
        cell_of_b: Cell of run B.
        arm: Name of the arm.
        label: Name of cell and arm.
        people: Names of the paired people.
    """
    figures = []
    for metric, name in METRICS.items():
        a = by_person(one.of_cell(cell), metric).get(arm, {})
        b = by_person(other.of_cell(cell_of_b), metric).get(arm, {})
        known = [p for p in people if np.isfinite([a.get(p, np.nan), b.get(p, np.nan)]).all()]
        if known:
            values = [np.array([side[person] for person in known]) for side in (a, b)]
            figures.append(paired_values(f"{label}: {name}", values[0], values[1], SHARES))
        elif not people and a and b:
            means = [np.array(list(side.values())) for side in (a, b)]
            figures.append(unpaired(f"{label}: {name}", *means))
    return figures


def _manifest(run: ProtectionResults, cells: Sequence[Cell]) -> dict[str, Any]:
    """Manifest of a run, with the settings of the compared cells; a matrix's own has few."""
    manifest = read_manifest(run.folder) or {}
    settings = dict(manifest.get("settings") or {})
    for name in OWN:
        settings.pop(name, None)
    for cell in cells:
        common = dict(run.settings.get(cell) or {})
        own = {name: common.pop(name, None) for name in OWN}
        # a single cell may have another name in the other run
        nested: dict[str, Any] = {"/".join(cell): own}
        settings |= own if len(cells) == 1 else nested
        settings |= common
    return manifest | {"settings": settings}
