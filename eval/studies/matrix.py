"""``python -m eval matrix``: arms, attacks and purifications in one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from torch.utils.data import Dataset

from datamodules.identities import as_people
from engine.devices import is_first_process
from engine.files import atomic_write, locked, remove_partials
from engine.job import JobOptions
from engine.manifest import read_manifest, write_manifest
from eval.arms import Arm
from eval.attacks.attack import Attack
from eval.attacks.purification import Purifier
from eval.metrics.extra import MetricWeights
from eval.reports.matrix import write_matrix_report
from eval.studies.access import boxes
from eval.studies.protection import facts_of, run_study
from eval.studies.results import read_results

Cell = tuple[str, str]
"""Names of an attack and a purification."""


@dataclass(frozen=True)
class Grid:
    """All combinations of some attacks and some purifications.

    Attributes:
        attacks: Names of the attacks in the matrix.
        purifications: Names of the purifications in the matrix.
    """

    attacks: tuple[str, ...]
    purifications: tuple[str, ...]


def run_matrix(
    people: Dataset,  # type: ignore[type-arg]
    output: Path,
    arms: dict[str, Arm],
    faces: str,
    attacks: dict[str, Attack],
    purifications: dict[str, Purifier | None],
    grid: Sequence[Grid] = (),
    clean_fraction: float = 0.0,
    extra_metrics: Sequence[str] = (),
    metric_weights: MetricWeights = MetricWeights(),
    seed: int = 0,
    options: JobOptions | None = None,
) -> str | None:
    """Run all unfinished cells, and write one table and one report.

    A cell is a study in ``OUT/cells/ATTACK/PURIFICATION``, with its manifest, images and report. A
    person's protected images are computed once and kept in ``OUT/protected``.
    ``OUT/results.parquet`` has a row for each person, arm and cell.

    Args:
        people: Data set of persons (see datamodules.identities).
        output: Folder of the results; an interrupted matrix in it goes on.
        arms: Ways to protect, by name: classes of :mod:`eval.arms`. The arms named clean, noise and
            rid are compared with each other.
        faces: The face detector and embedder: a folder, a Hub id, ``opencv`` or ``insightface``.
        attacks: Attacks by their names in the table.
        purifications: Purifications before the attack, by name; null for none.
        grid: Combinations of attacks and purifications; empty for all combinations.
        clean_fraction: Share of each person's images that the attacker has unprotected, 0 to 1.
        extra_metrics: Metrics of ``python -m eval metrics`` that are slow or need downloaded
            weights: ser_fiq, clip_iqa, fid, ...
        metric_weights: Locations of those weights.
        seed: Seed of the arms' random draws.
        options: Devices, batch size and workers of the jobs; people are shared out over processes.

    Returns:
        The table as text; None on every process but the first.

    Raises:
        ValueError: If a grid names an unknown attack or purification, the folder holds a matrix
            with other settings, or another run is at work in it.
        FileNotFoundError: If a model is missing.
    """
    # Check data and models before the first cell, which takes long.
    as_people(people)
    cells = plan(attacks, purifications, grid)
    for attack, _ in cells:
        attacks[attack].files()

    with _owned(output):
        finished = True
        for attack, purification in cells:
            method = purifications[purification]
            table = run_study(
                people,
                output / "cells" / attack / purification,
                arms,
                faces,
                attacks[attack],
                purification=method,
                clean_fraction=clean_fraction,
                extra_metrics=extra_metrics,
                metric_weights=metric_weights,
                seed=seed,
                options=options,
                protected=output / "protected",
            )
            # Free the device's memory for the next cell.
            attacks[attack].to("cpu")
            for arm in arms.values():
                arm.to("cpu")
            if method is not None:
                method.to("cpu")
            finished = finished and table is not None
        if not finished:
            return None

        # Collect all cells.
        rows = collect(output, cells)
        with atomic_write(output / "results.parquet") as partial:
            pq.write_table(pa.Table.from_pylist(rows), partial)
        names = [f"{attack}/{purification}" for attack, purification in cells]
        facts = facts_of(arms)
        write_manifest(output, command="eval matrix", cells=names, seed=seed, **facts)
        return write_matrix_report(output)


@contextmanager
def _owned(output: Path) -> Iterator[None]:
    """Lock the folder and remove partial files (first process only)."""
    if not is_first_process():
        yield
        return
    with locked(output):
        remove_partials(output)
        yield


def plan(
    attacks: Mapping[str, Any], purifications: Mapping[str, Any], grids: Sequence[Grid]
) -> list[Cell]:
    """List all cells, each once, in the order of the grids.

    Args:
        attacks: Attacks by name.
        purifications: Purifications by name.
        grids: Combinations of both; empty for all.

    Raises:
        ValueError: If there are no cells, or a grid names an unknown attack or purification.
    """
    if not attacks or not purifications:
        msg = (
            "a matrix needs at least one attack and one purification "
            "(none: null leaves the images as they are)"
        )
        raise ValueError(msg)
    cells: list[Cell] = []
    for grid in grids or [Grid(tuple(attacks), tuple(purifications))]:
        _check_names("attack", grid.attacks, attacks)
        _check_names("purification", grid.purifications, purifications)
        for attack in grid.attacks:
            cells += [(attack, purification) for purification in grid.purifications]
    return list(dict.fromkeys(cells))


def _check_names(kind: str, names: Sequence[str], known: Mapping[str, Any]) -> None:
    """Reject names of a grid that the matrix does not have.

    Raises:
        ValueError: If there is one.
    """
    if unknown := [name for name in names if name not in known]:
        msg = f"a grid names the {kind} {unknown[0]}; there are {', '.join(known)}"
        raise ValueError(msg)


def collect(output: Path, cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Collect one row for each person, arm and cell.

    A row has names, the arm's box, all metrics, and the ISM between the person's real images.
    """
    rows = []
    for attack, purification in cells:
        cell = output / "cells" / attack / purification
        manifest = read_manifest(cell) or {}
        for result in read_results(cell):
            access = boxes(manifest, list(result["measured"]))
            for arm, measured in result["measured"].items():
                names = {
                    "attack": attack,
                    "purification": purification,
                    "arm": arm,
                    "person": result["name"],
                    "box": access[arm].box,
                }
                rows.append(names | measured | {"real_ism": result["real_ism"]})
    return rows
