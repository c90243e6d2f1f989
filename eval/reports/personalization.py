"""Report of a personalization study, as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.manifest import read_manifest
from engine.pages.charts import IntervalChart, Mark
from engine.pages.data_urls import strip_url
from engine.pages.shell import MISSING, number, write_page
from engine.records import read_json
from eval.reports.budgets import stated_budget
from eval.reports.comparisons import HEAD, count, reach, span
from eval.reports.indexing import indexing_section
from eval.reports.protection_table import StudyTable, real_words, summarise
from eval.studies.results import REMEDY, PersonResult, check_finished, read_results
from images.io import open_photo
from images.metrics import amplify_change

COMMAND = "eval personalize"
"""Command whose studies are reported."""

INDEXING = "indexing"
"""Folder, within a study's, of the results on copy detection; it is optional."""

EARLIER_DESCRIPTIONS = {
    "clean": "not protected",
    "noise": "uniform random noise of the same budget",
    "rid": "RID generator, one forward pass",
    "rid_tile": "RID generator, in windows at the picture's own size",
    "pgd": "gradient ascent per image (upper reference)",
    "pgd_eot": "gradient ascent through edits, per image (upper reference after edits)",
}
"""Descriptions of the arms of studies that record none."""


def write_report(output: Path, pictures: int = 4) -> StudyTable:
    """Write ``report.html`` from a study's results and manifest.

    Args:
        output: Folder of the study.
        pictures: Images shown for each person and arm.

    Returns:
        The table of the report.

    Raises:
        ValueError: If the study is not finished, or the folder is another command's.
    """
    manifest = read_manifest(output) or {}
    command = manifest.get("command", COMMAND)
    if command != COMMAND and not (output / "people").is_dir():
        msg = f"{output}: holds the results of {command}, which writes its report itself"
        raise ValueError(msg)
    results = read_results(output)
    check_finished(output)
    sets = output / "sets.json"
    folders = [output / "people" / result["name"] for result in results]
    generated = [
        sum(len(list(folder.glob(f"{arm}/generated_*.png"))) for folder in folders)
        for arm in results[0]["measured"]
    ]
    table = summarise(
        results,
        read_json(sets, dict[str, dict[str, float | None]]) if sets.is_file() else {},
        manifest,
        min(generated),
    )
    write_page(
        output / "report.html",
        "eval/personalization.html",
        table=table,
        head=["arm", *table.metrics.values(), "box"],
        means=[_means_row(table, arm) for arm in table.arms],
        intervals=[_intervals_row(table, arm) for arm in table.arms],
        scores=_scores(table),
        real=real_words(table.real_ism),
        verdict=verdict(table),
        comparison_head=HEAD,
        comparisons=[comparison.cells for comparison in table.comparisons],
        reach=reach(table.people, len(table.comparisons)),
        descriptions=manifest.get("descriptions", EARLIER_DESCRIPTIONS),
        people=[
            _person(output / "people" / result["name"], result, table.arms, pictures)
            for result in results
        ],
        indexing=indexing_section(output / INDEXING),
        manifest=manifest,
        budget=stated_budget(manifest),
    )
    return table


def verdict(table: StudyTable) -> str:
    """State each arm's difference from the unprotected one."""
    against = [one for one in table.comparisons if one.b == "clean"]
    if not against:
        return "Nothing to compare: the study has no unprotected arm, or no arm beside it."
    sentences = []
    for one in against:
        interval = span(one.difference.interval, signed=True)
        within = f"95 % {interval}" if interval else "no interval from so few people"
        sentences.append(f"{one.a}: {one.metric} {one.difference.mean:+.3f} ({within})")
    side = "Above" if against[0].metric == "FDFR" else "Below"
    return (
        f"Against no protection, over {count(table.people)}: {'; '.join(sentences)}. "
        f"{side} zero the person comes through less."
    )


def _scores(table: StudyTable) -> IntervalChart:
    """Chart of the mean ISM of each arm."""
    marks = []
    for arm in table.arms:
        marks.append(Mark(arm, "ISM", table.rows[arm]["ism_all"], table.intervals[arm]["ism_all"]))
    return IntervalChart("ISM, no face = 0: mean and 95 % interval over people", marks, 0.0, 1.0)


def _means_row(table: StudyTable, arm: str) -> list[str]:
    """Format the means of an arm, and its box."""
    means = [number(table.rows[arm][metric]) for metric in table.metrics]
    return [arm, *means, table.access[arm].box]


def _intervals_row(table: StudyTable, arm: str) -> list[str]:
    """Format the intervals of an arm's ISM and FDFR."""
    intervals = table.intervals[arm]
    return [arm, *(span(intervals[metric]) or MISSING for metric in ("ism_all", "fdfr"))]


def _person(folder: Path, result: PersonResult, arms: list[str], count: int) -> dict[str, Any]:
    """Images and metrics of a person, one row for each arm."""
    original = first_images(folder, "original", count)
    rows = []
    for arm in arms:
        protected = first_images(folder / arm, "protected", count)
        if len(protected) != len(original) or protected[0].shape != original[0].shape:
            msg = (
                f"{folder / arm}: not as many images as {folder / 'original'}, "
                f"or of another size; {REMEDY}"
            )
            raise ValueError(msg)
        differences = []
        for before, after in zip(original, protected, strict=True):
            differences.append(amplify_change(before, after))
        rows.append(
            {
                "arm": arm,
                "protected": strip_url(protected),
                "difference": strip_url(differences),
                "generated": strip_url(first_images(folder / arm, "generated", count)),
                "measured": result["measured"][arm],
            }
        )
    return {
        "name": result["name"],
        "real_ism": result["real_ism"],
        "original": strip_url(original),
        "rows": rows,
    }


def first_images(folder: Path, kind: str, count: int) -> list[NDArray[np.uint8]]:
    """Open the first images of a kind in a folder.

    Args:
        folder: Folder of the images.
        kind: Start of their names, such as ``original`` or ``generated``.
        count: Number of images.

    Returns:
        At most ``count`` images, (H, W, 3), all of one size.

    Raises:
        FileNotFoundError: If the folder has no such image.
        ValueError: If an image is damaged or of another size.
    """
    files = sorted(folder.glob(f"{kind}_*.png"))[:count]
    images = [open_photo(path).rgb for path in files]
    if not images:
        msg = f"{folder}: no {kind}_00.png; {REMEDY}"
        raise FileNotFoundError(msg)
    for path, image in zip(files, images, strict=True):
        if image.shape != images[0].shape:
            msg = f"{path}: of another size than {files[0].name}; {REMEDY}"
            raise ValueError(msg)
    return images
