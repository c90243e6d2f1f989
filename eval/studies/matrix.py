"""``python -m eval matrix``: arms, attacks and purifications in one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch.utils.data import Dataset

from datamodules.identities import as_people
from engine.devices import is_first_process
from engine.job import JobOptions
from eval.arms import Arm
from eval.attacks.attack import Attack
from eval.attacks.purification import Purifier
from eval.metrics.extra import MetricWeights
from eval.reports.matrix import write_matrix_report
from eval.studies.cell_folders import owned
from eval.studies.cells import Grid, plan, record_cells, run_cells
from eval.studies.people import describe_people, refuse_inputs
from eval.studies.protection import facts_of
from eval.studies.rows import Cell


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
    person's protected images are computed once, kept in ``OUT/protected``, and made again for
    other images of the person.
    ``OUT/results.parquet`` has a row for each person, arm and cell; see
    :func:`eval.studies.cells.collect`. Table and report are written after every cell, so a stopped
    matrix leaves those of the finished ones.

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
            with other settings, files that no matrix wrote, or some of the images, or another run
            is at work in it.
        FileNotFoundError: If a model is missing.
    """
    # Check data and models before the first cell, which takes long.
    persons = as_people(people)
    refuse_inputs(output, persons, arms.values())
    cells = plan(attacks, purifications, grid)
    for attack, _ in cells:
        attacks[attack].files()

    settings = {
        "people": describe_people(persons),
        "arms": {name: arm.record() for name, arm in arms.items()},
        "clean_fraction": clean_fraction,
        "extra_metrics": list(extra_metrics),
        "seed": seed,
    }
    with owned(output, "eval matrix", settings):
        facts = facts_of(arms) | {"settings": settings, "seed": seed}
        done: list[Cell] = []
        for cell, is_new in run_cells(
            cells,
            people,
            output,
            arms,
            attacks,
            purifications,
            options,
            faces=faces,
            clean_fraction=clean_fraction,
            extra_metrics=extra_metrics,
            metric_weights=metric_weights,
            seed=seed,
        ):
            done.append(cell)
            if is_new and len(done) < len(cells) and is_first_process():
                record_cells(output, "eval matrix", cells, done, **facts)
                write_matrix_report(output)
        if not is_first_process():
            return None
        record_cells(output, "eval matrix", cells, done, **facts)
        return write_matrix_report(output)
