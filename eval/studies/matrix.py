"""``python -m eval matrix``: arms x personalization x purification, one study a cell, one table of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from torch.utils.data import Dataset

from checkpoints.folders import pipeline_folder
from datamodules.identities import as_people
from engine.devices import is_first_process
from engine.files import atomic_write, locked, remove_partials
from engine.job import JobOptions
from engine.manifest import read_manifest, write_manifest
from eval.attacks.personalization import Personalization
from eval.attacks.purification import Purifier
from eval.metrics.extra import MetricWeights
from eval.reports.matrix import write_matrix_report
from eval.studies.access import boxes
from eval.studies.results import read_results
from eval.studies.study import run_study
from rid.pairs.config import PGDConfig


@dataclass(frozen=True)
class Cross:
    """Every one of some attacks with every one of some purifications, by the names they have in the matrix."""

    attacks: tuple[str, ...]
    purifications: tuple[str, ...]


def run_matrix(
    people: Dataset,
    output: Path,
    generator: str,
    surrogates: list[str],
    faces: str,
    attacks: dict[str, Personalization],
    purifications: dict[str, Purifier | None],
    crosses: Sequence[Cross] = (),
    clean_fraction: float = 0.0,
    extra_metrics: Sequence[str] = (),
    metric_weights: MetricWeights = MetricWeights(),
    pgd: PGDConfig = PGDConfig(),
    arms: Sequence[str] = ("clean", "noise", "rid", "pgd"),
    seed: int = 0,
    options: JobOptions | None = None,
) -> str | None:
    """Run every cell that is not finished, and write one table and one page of all.

    A cell is a study of its own in ``OUT/cells/ATTACK/PURIFICATION``, with its manifest, pictures and page; a person's protected
    pictures are made once and kept in ``OUT/protected``. ``OUT/results.parquet`` has a row for each person, arm and cell.

    Args:
        people: Data set of persons (see datamodules.identities).
        output: Folder of the results; an interrupted matrix in it goes on.
        generator: Folder or Hub id of the RID generator; its budget is every arm's.
        surrogates: Pipelines the ascent arm works against.
        faces: The face detector and embedder: a folder, a Hub id, ``opencv`` or ``insightface``.
        attacks: Personalization attacks, by the names the table gives them.
        purifications: What attackers do to the pictures first, by name; null does nothing.
        crosses: Which attacks meet which purifications; every one meets every one if empty.
        clean_fraction: Share of each person's pictures that the attacker has unprotected, 0 to 1.
        extra_metrics: Slow metrics, or such with downloaded weights, of ``python -m eval metrics``: ser_fiq, clip_iqa, fid, ...
        metric_weights: Where those weights are.
        pgd: The ascent arm's settings.
        arms: Which arms, of clean, noise, rid, rid_tile and pgd.
        seed: Of the arms' noise.
        options: How the jobs run; people are shared out over processes.

    Returns:
        The table as text; None on every process but the first.

    Raises:
        ValueError: If a cross names an attack or purification there is not, the folder holds a matrix with other settings,
            or another run is at work in it.
        FileNotFoundError: If a model is missing.
    """
    as_people(people)
    cells = plan(attacks, purifications, crosses)
    for name in [attacks[attack].config.model for attack, _ in cells]:
        pipeline_folder(
            name
        )  # a missing model is told before the first cell, not after the last but one
    with locked(output) if is_first_process() else nullcontext():
        if is_first_process():
            remove_partials(output)
        finished = True
        for attack, purification in cells:
            method = purifications[purification]
            table = run_study(
                people,
                output / "cells" / attack / purification,
                generator,
                surrogates,
                faces,
                attacks[attack],
                purification=method,
                clean_fraction=clean_fraction,
                extra_metrics=extra_metrics,
                metric_weights=metric_weights,
                pgd=pgd,
                arms=arms,
                seed=seed,
                options=options,
                protected=output / "protected",
            )
            attacks[attack].to("cpu")  # the next cell's models need the room
            if method is not None:
                method.to("cpu")
            finished = finished and table is not None
        if not finished:
            return None
        rows = collect(output, cells)
        with atomic_write(output / "results.parquet") as partial:
            pq.write_table(pa.Table.from_pylist(rows), partial)
        write_manifest(
            output,
            command="eval matrix",
            cells=[f"{attack}/{purification}" for attack, purification in cells],
            seed=seed,
        )
        return write_matrix_report(output)


def plan(
    attacks: Mapping[str, Any], purifications: Mapping[str, Any], crosses: Sequence[Cross]
) -> list[tuple[str, str]]:
    """The cells, each once, in the order they are named in.

    Raises:
        ValueError: If there are none, or a cross names what there is not.
    """
    if not attacks or not purifications:
        msg = "a matrix needs at least one attack and one purification (none: null does nothing to the pictures)"
        raise ValueError(msg)
    wanted = crosses or [Cross(tuple(attacks), tuple(purifications))]
    for cross in wanted:
        for kind, names, known in (
            ("attack", cross.attacks, attacks),
            ("purification", cross.purifications, purifications),
        ):
            if missing := [name for name in names if name not in known]:
                msg = f"a cross names the {kind} {missing[0]}; there are {', '.join(known)}"
                raise ValueError(msg)
    return list(
        dict.fromkeys(
            (attack, purification)
            for cross in wanted
            for attack in cross.attacks
            for purification in cross.purifications
        )
    )


def collect(output: Path, cells: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """One row for each person, arm and cell: names, the arm's box, every metric, and the ISM between the person's real pictures."""
    rows = []
    for attack, purification in cells:
        cell = output / "cells" / attack / purification
        manifest = read_manifest(cell) or {}
        for result in read_results(cell):
            access = boxes(manifest, list(result["measured"]))
            for arm, measured in result["measured"].items():
                place = {
                    "attack": attack,
                    "purification": purification,
                    "arm": arm,
                    "person": result["name"],
                    "box": access[arm].box,
                }
                rows.append(place | measured | {"real_ism": result["real_ism"]})
    return rows
