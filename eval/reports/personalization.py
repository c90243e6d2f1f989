"""The study as a table and as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.manifest import read_manifest
from engine.pages.data_urls import strip_url
from engine.pages.shell import MISSING, number, write_page
from engine.records import read_json
from engine.statistics import PairedDifference, paired_difference
from eval.reports.indexing import indexing_section
from eval.studies.access import Access, boxes
from eval.studies.results import REMEDY, PersonResult, mean_of, read_results
from images.io import open_photo
from images.metrics import amplify_change

METRICS = {
    "ism_all": "ISM, no face = 0",
    "ism": "ISM, faces only",
    "fdfr": "FDFR",
    "brisque": "BRISQUE",
    "psnr": "PSNR dB",
    "ssim": "SSIM",
    "levels": "max levels",
    "denoising_error": "denoising error",
    "ser_fiq": "SER-FIQ",
    "clip_iqa": "CLIP-IQA",
    "clip_score": "CLIPScore",
    "ms_ssim": "MS-SSIM",
    "lpips": "LPIPS",
    "fid": "FID",
    "kid": "KID",
}
"""Every metric a table may have, as it is headed; a study without one has no such column."""
INDEXING = "indexing"
"""Folder in a study's that a page's section on copy detection is made from, if it is there."""
DESCRIPTIONS = {
    "clean": "not protected",
    "noise": "uniform random noise of the same budget",
    "rid": "RID generator, one forward pass",
    "rid_tile": "RID generator, in windows at the picture's own size",
    "pgd": "gradient ascent per picture (upper reference)",
}


@dataclass(frozen=True)
class StudyTable:
    """The study in numbers: one row of metric means an arm, paired comparisons of ISM (no face = 0), the real pictures' ISM."""

    arms: list[str]
    rows: dict[str, dict[str, float]]
    comparisons: dict[tuple[str, str], PairedDifference]
    real_ism: float
    people: int
    partial: list[str]
    """Means that not every person had a value for, in words."""
    access: dict[str, Access]
    """What each arm knew of the attacked model."""
    attacked: str
    """Name of the attacked model."""

    @property
    def access_words(self) -> list[str]:
        """What each arm knew of the attacked model, a sentence an arm."""
        return [words for arm in self.arms if (words := self.access[arm].words(arm, self.attacked))]

    @property
    def metrics(self) -> dict[str, str]:
        """The table's columns: names and headings."""
        return {
            metric: heading
            for metric, heading in METRICS.items()
            if metric in next(iter(self.rows.values()))
        }

    def text(self) -> str:
        """The table as aligned plain text."""
        head = ["arm", *self.metrics.values(), "box"]
        lines = [
            [
                arm,
                *(number(self.rows[arm][metric], "-") for metric in self.metrics),
                self.access[arm].box,
            ]
            for arm in self.arms
        ]
        widths = [max(len(row[column]) for row in [head, *lines]) for column in range(len(head))]
        table = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in [head, *lines]
        ]
        notes = [
            f"{self.people} people; ISM between real pictures of the same person {self.real_ism:.3f}"
        ]
        notes += self.access_words + self.partial
        notes += [
            f"{a} - {b}: ISM (no face = 0) {d.mean:+.3f}, 95 % CI [{d.low:+.3f}, {d.high:+.3f}], p = {d.p:.4f}"
            for (a, b), d in self.comparisons.items()
        ]
        return "\n".join(table + notes)


def summarise(
    results: Sequence[PersonResult], sets: dict[str, dict[str, float]], manifest: dict[str, Any]
) -> StudyTable:
    """Means over people, and every arm compared with the clean one and RID with noise, paired over people.

    Args:
        results: What :func:`eval.studies.personalize.read_results` gives.
        sets: Metrics of all people's pictures together, by arm.
        manifest: The study's.
    """
    arms = list(results[0]["measured"])
    metrics = list(results[0]["measured"][arms[0]])
    rows = {
        arm: {metric: mean_of(results, arm, metric) for metric in metrics} | sets.get(arm, {})
        for arm in arms
    }
    pairs = [(arm, "clean") for arm in arms if arm != "clean" and "clean" in arms]
    pairs += [("rid", "noise")] if {"rid", "noise"} <= set(arms) else []
    values = {
        arm: np.array([result["measured"][arm]["ism_all"] for result in results]) for arm in arms
    }
    return StudyTable(
        arms=arms,
        rows=rows,
        comparisons={
            (a, b): paired_difference(values[a], values[b])
            for a, b in pairs
            if np.isfinite([*values[a], *values[b]]).all()
        },
        real_ism=float(np.mean([result["real_ism"] for result in results])),
        people=len(results),
        access=boxes(manifest, arms),
        attacked=attacked_model(manifest),
        partial=[
            note for arm in arms for metric in metrics if (note := _partial(results, arm, metric))
        ],
    )


def attacked_model(manifest: dict[str, Any]) -> str:
    """Name of the model that a study's attack starts from."""
    weights = (manifest.get("settings") or {}).get("weights") or {}
    return str((weights.get("attacked") or {}).get("name", "?"))


def _partial(results: Sequence[PersonResult], arm: str, metric: str) -> str:
    known = sum(not np.isnan(result["measured"][arm][metric]) for result in results)
    return (
        f"{arm}: {METRICS.get(metric, metric)} is a mean over {known} of {len(results)} people"
        if 0 < known < len(results)
        else ""
    )


def write_report(output: Path, pictures: int = 4) -> StudyTable:
    """Read a study's results and manifest, and write ``report.html`` beside them.

    Args:
        output: The study's folder.
        pictures: Pictures shown for each person and arm.
    """
    results = read_results(output)
    sets = output / "sets.json"
    manifest = read_manifest(output) or {}
    table = summarise(
        results, read_json(sets, dict[str, dict[str, float]]) if sets.is_file() else {}, manifest
    )
    if not manifest.get("finished"):
        msg = f"{output}: the study was stopped before its end; start it again with the same settings and -o to finish it"
        raise ValueError(msg)
    write_page(
        output / "report.html",
        "eval/personalization.html",
        table=table,
        head=["arm", *table.metrics.values(), "box"],
        means=[
            [
                arm,
                *(number(table.rows[arm][metric]) for metric in table.metrics),
                table.access[arm].box,
            ]
            for arm in table.arms
        ],
        comparisons=[[f"{a} minus {b}", *_compared(d)] for (a, b), d in table.comparisons.items()],
        descriptions=DESCRIPTIONS,
        people=[
            _person(output / "people" / result["name"], result, table.arms, pictures)
            for result in results
        ],
        indexing=indexing_section(output / INDEXING),
        manifest=manifest,
    )
    return table


def _compared(difference: PairedDifference) -> list[str]:
    """Difference, interval and p in words; of one person there is no interval."""
    bounded = np.isfinite([difference.low, difference.high]).all()
    interval = f"{difference.low:+.3f} to {difference.high:+.3f}" if bounded else MISSING
    return [f"{difference.mean:+.3f}", interval, f"{difference.p:.4f}"]


def _person(folder: Path, result: PersonResult, arms: list[str], count: int) -> dict[str, Any]:
    original = first_images(folder, "original", count)
    rows = []
    for arm in arms:
        protected = first_images(folder / arm, "protected", count)
        if len(protected) != len(original) or protected[0].shape != original[0].shape:
            msg = f"{folder / arm}: not as many images as {folder / 'original'}, or of another size; {REMEDY}"
            raise ValueError(msg)
        rows.append(
            {
                "arm": arm,
                "protected": strip_url(protected),
                "difference": strip_url(
                    [amplify_change(*pair) for pair in zip(original, protected, strict=True)]
                ),
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
    """The first images of a kind in a folder, (H, W, 3), all of one size.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If one is damaged or of another size.
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
