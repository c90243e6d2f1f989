"""``python -m eval redteam``: attacks on a folder of photos that another program protected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.matched_people import Leftovers, MatchedPeople
from engine.devices import is_first_process
from engine.job import JobOptions
from eval.arms import Arm, Clean, Folder
from eval.attacks.attack import Attack
from eval.attacks.purification import Purifier
from eval.metrics.extra import MetricWeights
from eval.reports.redteam import write_redteam_report
from eval.reports.verdicts import CellVerdict
from eval.studies.cell_folders import owned
from eval.studies.cells import Grid, plan, record_cells, run_cells
from eval.studies.people import refuse_inputs
from eval.studies.protection import check_clean_fraction, facts_of
from eval.studies.rows import Cell
from images.io import open_photo, to_rgb, to_uint8
from images.transforms.squares import center_square

CLEAN, PROTECTED = "clean", "protected"
"""Names of the arms."""


@dataclass(frozen=True)
class RedTeam:
    """Outcome of the attacks.

    Attributes:
        headline: What the protection survives, in one sentence.
        verdicts: Verdict of each finished cell.
        page: The page.
        not_run: Cells that the budget left out.
        leftovers: Files without a counterpart.
    """

    headline: str
    verdicts: list[CellVerdict]
    page: Path
    not_run: list[Cell]
    leftovers: Leftovers


def run_redteam(
    protected: Path,
    clean: Path,
    output: Path,
    faces: str,
    attacks: dict[str, Attack],
    purifications: dict[str, Purifier | None],
    size: int = 512,
    attacked: int | None = None,
    clean_fraction: float = 0.0,
    grid: Sequence[Grid] = (),
    budget_minutes: float | None = None,
    extra_metrics: Sequence[str] = (),
    metric_weights: MetricWeights = MetricWeights(),
    seed: int = 0,
    options: JobOptions | None = None,
) -> RedTeam | None:
    """Attack protected photos and their clean counterparts in every way, and write a page.

    Every combination of an attack and a purification is a cell, run in the order of the config:
    name the cheapest first. The page is written after every cell, so a stopped run leaves one.

    Args:
        protected: Folder of the protected photos: a sub-folder for each person, or one person's.
        clean: Folder of the clean photos, with the same names and sub-folders; endings may differ.
            Photos without a protected file are what generated images are compared with.
        output: Folder of the results; the same command goes on in it.
        faces: The face detector and embedder: a folder, a Hub id, ``opencv`` or ``insightface``.
        attacks: Attacks by their names in the table, the cheapest first.
        purifications: Removers that are tried before the attack, by name; null for none.
        size: Side of the square that is taken of each photo, in pixels.
        attacked: Number of each person's protected photos to attack; null for as many as leave
            photos to compare with.
        clean_fraction: Share of each person's attacked photos that the attacker has unprotected, 0
            to 1.
        grid: Combinations of attacks and purifications; empty for all combinations.
        budget_minutes: Minutes of this command: no cell is started that would end later, judging
            by those finished. null for no limit.
        extra_metrics: Metrics of ``python -m eval metrics`` that are slow or need downloaded
            weights: ser_fiq, clip_iqa, fid, ...
        metric_weights: Locations of those weights.
        seed: Seed of the purifications' random draws.
        options: Devices, batch size and workers of the jobs; people are shared out over processes.

    Returns:
        The outcome; None on every process but the first.

    Raises:
        ValueError: If the budget is not positive, the share is out of range, a person has too few
            photos, files do not fit together, or the folder holds another run or overlaps with
            the photos.
        FileNotFoundError: If a folder or a model is missing, or no names match.
    """
    if budget_minutes is not None and budget_minutes <= 0:
        msg = f"budget_minutes must be above 0, got {budget_minutes:g}"
        raise ValueError(msg)
    check_clean_fraction(clean_fraction)
    people = MatchedPeople(protected, clean, size, attacked)
    theirs = Folder(str(protected), people.name_of_one if people.single else None)
    arms: dict[str, Arm] = {CLEAN: Clean(), PROTECTED: theirs}
    refuse_inputs(output, people, arms.values())
    cells = plan(attacks, purifications, grid)
    for attack, _ in cells:
        attacks[attack].files()

    options = options or JobOptions(batch_size=1)
    settings = {
        "protected": str(protected.resolve()),
        "clean": str(clean.resolve()),
        "seed": seed,
        "size": size,
        "attacked": attacked,
    }
    if clean_fraction:  # folders of earlier versions do not have it
        settings["clean_fraction"] = clean_fraction
    with owned(output, "eval redteam", settings):
        facts: dict[str, Any] = {}
        if is_first_process():
            facts = facts_of(arms) | {
                "settings": settings,
                "seed": seed,
                "leftovers": asdict(people.leftovers),
                "bound": measure_bound(people, theirs),
            }
        done: list[Cell] = []
        for cell, is_new in run_cells(
            cells,
            people,
            output,
            arms,
            attacks,
            purifications,
            options,
            budget_minutes,
            faces=faces,
            clean_fraction=clean_fraction,
            extra_metrics=extra_metrics,
            metric_weights=metric_weights,
            seed=seed,
        ):
            done.append(cell)
            if is_new and len(done) < len(cells) and is_first_process():
                record_cells(output, "eval redteam", cells, done, **facts)
                write_redteam_report(output)
        if not is_first_process():
            return None
        record_cells(output, "eval redteam", cells, done, **facts)
        headline, verdicts = write_redteam_report(output)
        left = [cell for cell in cells if cell not in done]
        return RedTeam(headline, verdicts, output / "report.html", left, people.leftovers)


def measure_bound(people: MatchedPeople, arm: Folder) -> dict[str, float]:
    """Measure how far protected files differ from the clean ones.

    Returns:
        Number of images, the largest and the median of their largest changes in gray levels, and
        the number of images that do not differ. Files of the photo's size are compared at that
        size, others with the square of the study.
    """
    levels = []
    for name, files in people.attacked.items():
        for key, file in files.items():
            clean = open_photo(file).rgb
            theirs = open_photo(arm.file_of(name, key)).rgb
            if theirs.shape != clean.shape:
                square = to_uint8(center_square(clean, people.size))
                clean = to_rgb(square)
            if theirs.shape == clean.shape:  # the study names files of other sizes
                levels.append(int(np.abs(theirs.astype(np.int16) - clean).max()))
    return {
        "images": len(levels),
        "largest": max(levels, default=0),
        "median": float(np.median(levels)) if levels else 0.0,
        "unchanged": levels.count(0),
    }
