"""A protection study in numbers: means of every arm, intervals over people, and paired comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.pages.shell import number
from engine.statistics import Interval, mean_interval, share_interval
from eval.reports.comparisons import Comparison, compare, count, identity_score, reach, span
from eval.studies.access import Access, boxes
from eval.studies.results import PersonResult, mean_of

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


@dataclass(frozen=True)
class StudyTable:
    """The study in numbers: metric means of each arm, intervals, paired comparisons of ISM, the real pictures' ISM."""

    arms: list[str]
    rows: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, Interval | None]]
    """Of ISM and FDFR over people, by arm."""
    comparisons: list[Comparison]
    """Of ISM, no face = 0, at least 0; of FDFR where no faces are recognized."""
    real_ism: float
    people: int
    partial: list[str]
    """Means that not every person had a value for, in words."""
    access: dict[str, Access]
    """What each arm knew of the attacked model."""
    attacked: str
    """Name of the attacked model."""
    references: str = ""
    """Number of real pictures that an ISM is measured against, in words; empty where it was not recorded."""

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
            f"{count(self.people)}{self.references}; ISM between real pictures of the same person {self.real_ism:.3f}"
        ]
        notes += self.access_words + self.partial + self.interval_words
        notes += [comparison.words for comparison in self.comparisons]
        if words := reach(self.people, len(self.comparisons)):
            notes.append(words)
        return "\n".join(table + notes)

    @property
    def interval_words(self) -> list[str]:
        """Intervals of ISM and FDFR over people, a line an arm; none of one person."""
        if self.people < 2:
            return ["no intervals: they need at least 2 people"]
        return [
            f"{arm}: 95 % over {count(self.people)}: "
            + ", ".join(
                f"{name} {span(found) or 'none'}"
                for name, found in (
                    ("ISM", self.intervals[arm]["ism_all"]),
                    ("FDFR", self.intervals[arm]["fdfr"]),
                )
            )
            for arm in self.arms
        ]


def summarise(
    results: Sequence[PersonResult], sets: dict[str, dict[str, float]], manifest: dict[str, Any]
) -> StudyTable:
    """Average over people, and compare every arm with the clean one and RID with noise, paired over people.

    Args:
        results: What :func:`eval.studies.results.read_results` gives.
        sets: Metrics of all people's pictures together, by arm.
        manifest: The study's.
    """
    arms = list(results[0]["measured"])
    metrics = list(results[0]["measured"][arms[0]])
    rows = {
        arm: {metric: mean_of(results, arm, metric) for metric in metrics} | sets.get(arm, {})
        for arm in arms
    }
    scores = {
        arm: identity_score([result["measured"][arm]["ism_all"] for result in results])
        for arm in arms
    }
    if "ism_all" in metrics:
        for arm in arms:
            rows[arm]["ism_all"] = mean_of_known(scores[arm])
    return StudyTable(
        arms=arms,
        rows=rows,
        intervals={
            arm: {
                "ism_all": mean_interval(known(scores[arm]), (0.0, 1.0)),
                "fdfr": share_interval(known([r["measured"][arm]["fdfr"] for r in results])),
            }
            for arm in arms
        },
        comparisons=comparisons_of(results, scores),
        real_ism=float(np.mean([result["real_ism"] for result in results])),
        people=len(results),
        access=boxes(manifest, arms),
        attacked=attacked_model(manifest),
        references=references_of(results),
        partial=[
            note for arm in arms for metric in metrics if (note := _partial(results, arm, metric))
        ],
    )


def comparisons_of(
    results: Sequence[PersonResult], scores: dict[str, NDArray[np.float64]]
) -> list[Comparison]:
    """Comparisons of ISM, or of FDFR where no faces are recognized."""
    if any(np.isfinite(values).any() for values in scores.values()):
        return compare(scores)
    lost = {arm: [result["measured"][arm]["fdfr"] for result in results] for arm in scores}
    return compare({arm: np.array(values) for arm, values in lost.items()}, metric="FDFR")


def references_of(results: Sequence[PersonResult]) -> str:
    """Number of real pictures an ISM is measured against, in words; ISM grows with it."""
    numbers = sorted({result["references"] for result in results if "references" in result})
    return f", {' or '.join(map(str, numbers))} reference pictures each" if numbers else ""


def known(values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Values that are numbers."""
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]


def mean_of_known(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Mean of the values that are numbers; NaN if there are none."""
    numbers = known(values)
    return float(numbers.mean()) if len(numbers) else float("nan")


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
