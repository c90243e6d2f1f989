"""Cells of a matrix: a study for each combination of an attack and a purification."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.devices import Process, is_first_process, start_processes
from engine.files import atomic_write
from engine.job import JobOptions
from engine.journal import read_journal
from engine.manifest import read_manifest, write_manifest
from eval.arms import Arm
from eval.attacks.attack import Attack
from eval.attacks.purification import Purifier
from eval.reports.protection_table import attacked_model
from eval.studies.access import boxes
from eval.studies.cell_folders import PROTECTED, cell_folder
from eval.studies.protection import check_names, run_study
from eval.studies.results import read_results
from eval.studies.rows import RESULTS, Cell, Row

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Grid:
    """All combinations of some attacks and some purifications.

    Attributes:
        attacks: Names of the attacks in the matrix.
        purifications: Names of the purifications in the matrix.
    """

    attacks: tuple[str, ...]
    purifications: tuple[str, ...]


def plan(
    attacks: Mapping[str, Any], purifications: Mapping[str, Any], grids: Sequence[Grid]
) -> list[Cell]:
    """List all cells, each once, in the order of the grids.

    Args:
        attacks: Attacks by name.
        purifications: Purifications by name.
        grids: Combinations of both; empty for all.

    Raises:
        ValueError: If there are no cells, a name cannot be a folder's, or a grid names an unknown
            attack or purification.
    """
    if not attacks or not purifications:
        msg = (
            "a matrix needs at least one attack and one purification "
            "(none: null leaves the images as they are)"
        )
        raise ValueError(msg)
    check_names("attack", attacks)
    check_names("purification", purifications)
    cells: list[Cell] = []
    for grid in grids or [Grid(tuple(attacks), tuple(purifications))]:
        _check_known("attack", grid.attacks, attacks)
        _check_known("purification", grid.purifications, purifications)
        for attack in grid.attacks:
            cells += [(attack, purification) for purification in grid.purifications]
    return list(dict.fromkeys(cells))


def _check_known(kind: str, names: Sequence[str], known: Mapping[str, Any]) -> None:
    """Reject names of a grid that the matrix does not have.

    Raises:
        ValueError: If there is one.
    """
    if unknown := [name for name in names if name not in known]:
        msg = f"a grid names the {kind} {unknown[0]}; there are {', '.join(known)}"
        raise ValueError(msg)


@dataclass
class Pace:
    """Minutes of cells, measured, and whether another cell fits a budget.

    Attributes:
        budget: Minutes from the creation of this object; None without a budget.
        measured: Minutes of each finished cell.
        begin: Time of the creation, in seconds.
    """

    budget: float | None
    measured: dict[Cell, float] = field(default_factory=dict)
    begin: float = field(default_factory=time.monotonic)

    def expected(self, cell: Cell) -> float | None:
        """Minutes that a cell is expected to take; None before any was measured.

        They are those of the slowest finished cell with the same attack, or else of all.
        """
        same = [minutes for done, minutes in self.measured.items() if done[0] == cell[0]]
        return max(same or self.measured.values(), default=None)

    def fits(self, cell: Cell) -> bool:
        """Return True if a cell can finish within the budget, judging by those finished."""
        expected = self.expected(cell)
        if self.budget is None or expected is None:
            return True
        return (time.monotonic() - self.begin) / 60 + expected <= self.budget


def run_cells(
    cells: Sequence[Cell],
    people: Any,
    output: Path,
    arms: dict[str, Arm],
    attacks: Mapping[str, Attack],
    purifications: Mapping[str, Purifier | None],
    options: JobOptions | None = None,
    budget_minutes: float | None = None,
    **settings: Any,
) -> Iterator[tuple[Cell, bool]]:
    """Run the unfinished cells in their order.

    Args:
        cells: The cells.
        people: Data set of persons.
        output: Folder of the matrix.
        arms: Ways to protect, by name.
        attacks: Attacks by name.
        purifications: Purifications by name.
        options: Devices, batch size and workers.
        budget_minutes: End before the first cell that would last beyond so many minutes, judging
            by the finished ones; None for no end.
        settings: More arguments of :func:`eval.studies.protection.run_study`.

    Yields:
        Each cell when it is finished, and whether it was not before.
    """
    pace = Pace(budget_minutes)
    process = None
    if budget_minutes is not None and options is not None:
        # Connect the processes now: the first decides for all of them.
        process = start_processes(options.devices, at_most=len(people))
    for number, cell in enumerate(cells, start=1):
        attack, purification = cell
        folder = cell_folder(output, cell)
        was_finished = _is_finished(folder)
        if not _may_start(cell, was_finished, pace, process):
            return
        if is_first_process():
            log.info(
                "cell %d of %d: %s, purification: %s", number, len(cells), attack, purification
            )
        begin = time.monotonic()
        method = purifications[purification]
        outcome = run_study(
            people,
            folder,
            arms,
            attack=attacks[attack],
            purification=method,
            options=options,
            protected=output / PROTECTED,
            **settings,
        )
        if outcome is not None and outcome.job.stale:
            log.info("%s, purification: %s: %s", attack, purification, outcome.job.stale_words)
        # Free the device's memory for the next cell.
        for part in (attacks[attack], method, *arms.values()):
            if part is not None:
                part.to("cpu")
        pace.measured[cell] = max(
            (time.monotonic() - begin) / 60, minutes_of(folder) / (process.world if process else 1)
        )
        yield cell, not was_finished


def _is_finished(folder: Path) -> bool:
    """Return True if a cell's study is finished."""
    return bool((read_manifest(folder) or {}).get("finished"))


def _may_start(cell: Cell, is_finished: bool, pace: Pace, process: Process | None) -> bool:
    """Return True on every process if the first finds a cell finished, or within the budget."""
    return process is None or bool(process.of_first(is_finished or pace.fits(cell)))


def minutes_of(folder: Path) -> float:
    """Sum of the minutes of a cell's people and arms; 0 if none were recorded."""
    try:
        results = read_results(folder)
    except FileNotFoundError:
        return 0.0
    return sum(sum(result.get("minutes", {}).values()) for result in results)


def record_cells(
    output: Path, command: str, cells: Sequence[Cell], done: Sequence[Cell], **facts: Any
) -> None:
    """Write ``results.parquet`` with the rows of the finished cells, and the manifest.

    Args:
        output: Folder of the results.
        command: Command of the run.
        cells: All cells.
        done: The finished ones.
        facts: Further entries of the manifest.
    """
    with atomic_write(output / RESULTS) as partial:
        pq.write_table(pa.Table.from_pylist(collect(output, done)), partial)
    write_manifest(
        output,
        command=command,
        finished=len(done) == len(cells),
        cells=["/".join(cell) for cell in done],
        not_run=["/".join(cell) for cell in cells if cell not in done],
        **facts,
    )


def collect(output: Path, cells: Sequence[Cell]) -> list[Row]:
    """Collect one row for each person, arm and cell.

    A row has the names of attack, attacked model, purification, arm and person, the hash of the
    person's images, the arm's box, all metrics, the ISM between the person's real images, and the
    minutes.
    """
    rows = []
    for attack, purification in cells:
        cell = cell_folder(output, (attack, purification))
        manifest = read_manifest(cell) or {}
        hashes = {entry.name: entry.sha256 for entry in read_journal(cell).values()}
        for result in read_results(cell):
            access = boxes(manifest, list(result["measured"]))
            for arm, measured in result["measured"].items():
                names: Row = {
                    "attack": attack,
                    "model": attacked_model(manifest),
                    "purification": purification,
                    "arm": arm,
                    "person": result["name"],
                    "person_sha256": hashes.get(result["name"], ""),
                    "box": access[arm].box,
                }
                facts = {
                    "real_ism": result["real_ism"],
                    "references": result.get("references"),
                    "minutes": result.get("minutes", {}).get(arm),
                }
                rows.append(names | measured | facts)
    return rows
