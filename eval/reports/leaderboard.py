"""``python -m eval leaderboard``: protections of several runs in one table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.files import write_text
from engine.pages import shell
from engine.pages.best import Wanted, best_cells
from engine.pages.markdown import markdown_table
from eval.reports.comparisons import count
from eval.reports.matrix import by_person, change, figure
from eval.reports.protection_table import references_of
from eval.studies.rows import Cell, ProtectionResults, known_mean, open_results

BASELINE = "clean"

REDTEAM_ARM = "protected"
"""Arm of ``eval redteam``; its run's name says more."""

COLUMNS = ("ISM", "ISM - clean (95 %)", "FDFR (95 %)", "minutes a person")
"""Columns of a cell."""

WANTED: Mapping[int, Wanted] = {0: "lower", 1: "lower", 2: "higher"}
"""Better direction for a defender by place in :data:`COLUMNS`."""

NOTE = (
    "ISM: cosine of generated faces to the mean embedding of real photos, no face = 0; a defender "
    "wants it low. It grows with the number of real photos. FDFR: share of generated images "
    "without a face. The difference is paired over people. Minutes: purification, attack and "
    "measurement; what an attack prepares once, such as class images, counts for the first arm. A "
    "star marks the best figure of a column as written; read its interval before you call it "
    "better. Rows are in the order of the mean ISM over the cells that every row has. Intervals "
    "are not adjusted for the number of cells or protections."
)

Key = tuple[Cell, str]
"""A cell, and the settings of its attack and purification as JSON."""


@dataclass(frozen=True)
class Group:
    """Runs with the same people, seed and faces, which may be compared.

    Attributes:
        runs: The runs.
        people: Number of people.
        seed: Seed; None if not recorded.
    """

    runs: list[ProtectionResults]
    people: int
    seed: Any


@dataclass(frozen=True)
class Board:
    """One table of the leaderboard.

    Attributes:
        name: What its rows have in common.
        cells: Name of each group of columns.
        rows: Name of a protection, and its cells.
        best: Columns in which each row has the best figure.
    """

    name: str
    cells: list[str]
    rows: list[list[str]]
    best: list[list[int]]

    @property
    def head(self) -> list[str]:
        """Heads of all columns."""
        return ["protection", *COLUMNS * len(self.cells)]


def write_leaderboard(folders: Sequence[Path], output: Path) -> tuple[list[Board], list[str]]:
    """Write ``leaderboard.html`` and ``leaderboard.md`` of protections.

    Runs with other people, photos, seeds, faces or shares of clean photos stand in tables of their
    own. Attacks of one name with other settings have columns of their own.

    Args:
        folders: Results of ``eval personalize``, ``matrix`` or ``redteam``.
        output: Folder to write to.

    Returns:
        The tables, and warnings.

    Raises:
        FileNotFoundError: If a folder has no results.
        ValueError: If results are damaged, or there is no folder.
    """
    if not folders:
        msg = "name at least one folder of results of eval personalize, matrix or redteam"
        raise ValueError(msg)
    groups = group([open_results(folder) for folder in folders])
    boards = [board(one, number) for number, one in enumerate(groups, start=1)]
    warnings = warnings_of(groups)
    parts = ["# Leaderboard of protections\n", f"{NOTE}\n", *(f"{words}\n" for words in warnings)]
    for one in boards:
        head = ["protection"]
        for cell in one.cells:
            head += [f"{cell}: {column}" for column in COLUMNS]
        parts += [f"## {one.name}\n", markdown_table(head, one.rows) + "\n"]
    write_text(output / "leaderboard.md", "\n".join(parts))
    shell.write_page(
        output / "leaderboard.html",
        "eval/leaderboard.html",
        boards=boards,
        columns=len(COLUMNS),
        note=NOTE,
        warnings=warnings,
    )
    return boards, warnings


def group(runs: Sequence[ProtectionResults]) -> list[Group]:
    """Group runs that may be compared, in order."""
    groups: dict[str, Group] = {}
    for run in runs:
        settings = next(iter(run.settings.values()), {})
        weights = settings.get("weights") or {}
        condition = {
            "people": sorted(run.people.items()),
            "seed": settings.get("seed"),
            "faces": weights.get("faces"),
            "clean_fraction": settings.get("clean_fraction"),
        }
        key = json.dumps(condition, sort_keys=True)
        known = groups.setdefault(key, Group([], len(run.people), settings.get("seed")))
        known.runs.append(run)
    return list(groups.values())


def warnings_of(groups: Sequence[Group]) -> list[str]:
    """Warn of runs that are not compared, and of what was not recorded."""
    warnings = []
    if len(groups) > 1:
        parts = [", ".join(run.name for run in one.runs) for one in groups]
        warnings.append(
            f"These runs have other people, photos, seeds or faces and are not compared with each "
            f"other: {' | '.join(parts)}."
        )
    for one in groups:
        for run in one.runs:
            if not all(run.people.values()):
                warnings.append(
                    f"{run.name} did not record the photos of its people, only their names."
                )
            if BASELINE not in run.arms:
                warnings.append(f"{run.name} has no arm {BASELINE}: no differences.")
    return warnings


def board(one: Group, place: int) -> Board:
    """Build the table of a group.

    Args:
        one: The group.
        place: Its number.
    """
    keys = list(dict.fromkeys(_key(run, cell) for run in one.runs for cell in run.cells))
    entries: dict[str, dict[Key, list[str]]] = {}
    scores: dict[str, dict[Key, float]] = {}
    for run in one.runs:
        for arm in run.arms:
            # The clean arm of further runs is the same; a second protection of one name is not.
            name = run.name if arm == REDTEAM_ARM else arm
            if name != BASELINE and name in entries:
                name = f"{arm} ({run.name})"
            while name != BASELINE and name in entries:
                name += "'"
            cells = entries.setdefault(name, {})
            of_arm = scores.setdefault(name, {})
            for cell in run.cells:
                rows = run.of_cell(cell)
                key = _key(run, cell)
                if key not in cells:
                    cells[key] = _cells(rows, arm)
                    isms = by_person(rows, "ism_all").get(arm, {})
                    of_arm[key] = known_mean(list(isms.values()))
    shared = [key for key in keys if all(key in cells for cells in entries.values())]

    def mean(name: str) -> float:
        return known_mean([scores[name][key] for key in shared])

    names = sorted(entries, key=lambda name: (name == BASELINE, np.nan_to_num(mean(name), nan=9)))
    table = []
    for name in names:
        cells_of_row = [name]
        for key in keys:
            cells_of_row += entries[name].get(key, ["-"] * len(COLUMNS))
        table.append(cells_of_row)
    wanted = {
        1 + len(COLUMNS) * number + column: direction
        for number in range(len(keys))
        for column, direction in WANTED.items()
    }
    best = best_cells(table, wanted, left_out=[BASELINE])
    seed = "" if one.seed is None else f", seed {one.seed}"
    runs = ", ".join(run.name for run in one.runs)
    references = references_of([row for run in one.runs for row in run.rows])
    name = f"Group {place}: {count(one.people)}{references}{seed} ({runs})"
    return Board(name, _labels(keys), table, best)


def _key(run: ProtectionResults, cell: Cell) -> Key:
    """Identify a cell by its names and the settings of attack and purification."""
    settings = run.settings.get(cell) or {}
    weights = settings.get("weights") or {}
    protocol = {name: settings.get(name) for name in ("attack", "purification")}
    hashes = {
        role: (model or {}).get("sha256") for role, model in weights.items() if role != "faces"
    }
    return cell, json.dumps(protocol | {"weights": hashes}, sort_keys=True)


def _labels(keys: Sequence[Key]) -> list[str]:
    """Name each cell; a number tells apart those of one name with other settings."""
    labels = []
    for place, ((attack, purification), _) in enumerate(keys):
        earlier = sum(key[0] == (attack, purification) for key in keys[:place])
        name = attack if purification == "none" else f"{attack} after {purification}"
        labels.append(f"{name}, other settings {earlier}" if earlier else name)
    return labels


def _cells(rows: Sequence[dict[str, Any]], arm: str) -> list[str]:
    """Cells of an arm in a cell; see :data:`COLUMNS`."""
    isms, rates = by_person(rows, "ism_all"), by_person(rows, "fdfr")
    minutes = [row.get("minutes") for row in rows if row["arm"] == arm]
    return [
        figure(list(isms.get(arm, {}).values())),
        change(isms, arm),
        figure(list(rates.get(arm, {}).values()), share=True),
        figure(minutes),
    ]
