"""Table of a protection study: means, intervals and comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.pages.shell import number
from engine.statistics import Interval, mean_interval, share_interval
from eval.reports.budgets import measured_budgets
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
    "clip_direction": "CLIP direction",
    "ms_ssim": "MS-SSIM",
    "lpips": "LPIPS",
    "fid": "FID",
    "kid": "KID",
}
"""Columns of the table, by metric; a study has only columns of its own metrics."""


INTERVALS = ("ism_all", "fdfr")
"""Metrics with an interval over people."""


@dataclass(frozen=True)
class StudyTable:
    """Numbers of a protection study.

    Attributes:
        arms: Names of the arms.
        rows: Mean of each metric, by arm.
        intervals: Intervals of ISM and FDFR over people, by arm.
        comparisons: Comparisons of ISM (no face = 0, at least 0), or of FDFR if no faces are
            recognized.
        real_ism: ISM between the real images; NaN if the face detector computes no embeddings.
        people: Number of people.
        partial: Notes on means for which some people have no value.
        access: Access of each arm to the attacked model.
        attacked: Name of the attacked model.
        references: Note on the number of real images that an ISM is measured against; empty if it
            was not recorded.
        budgets: Sentences on arms whose budget was measured, because they state none.
    """

    arms: list[str]
    rows: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, Interval | None]]
    comparisons: list[Comparison]
    real_ism: float
    people: int
    partial: list[str]
    access: dict[str, Access]
    attacked: str
    references: str = ""
    budgets: tuple[str, ...] = ()

    @property
    def access_words(self) -> list[str]:
        """Access of each arm to the attacked model, one sentence each."""
        sentences = [self.access[arm].words(arm, self.attacked) for arm in self.arms]
        return [sentence for sentence in sentences if sentence]

    @property
    def metrics(self) -> dict[str, str]:
        """Columns of the table: names and headings."""
        present = next(iter(self.rows.values()))
        return {metric: heading for metric, heading in METRICS.items() if metric in present}

    @property
    def without_interval(self) -> list[str]:
        """Headings of the columns without an interval."""
        return [name for metric, name in self.metrics.items() if metric not in INTERVALS]

    def text(self) -> str:
        """Format the table as aligned plain text."""
        rows = [["arm", *self.metrics.values(), "box"]]
        for arm in self.arms:
            cells = [number(self.rows[arm][metric], "-") for metric in self.metrics]
            rows.append([arm, *cells, self.access[arm].box])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = []
        for row in rows:
            cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
            table.append("  ".join(cells))

        # Notes below the table.
        notes = [
            f"{count(self.people)}{self.references}; {real_words(self.real_ism)}",
        ]
        notes += [*self.budgets, *self.access_words, *self.partial, *self.interval_words]
        notes += [comparison.words for comparison in self.comparisons]
        if words := reach(self.people, len(self.comparisons)):
            notes.append(words)
        return "\n".join(table + notes)

    @property
    def interval_words(self) -> list[str]:
        """Lines with each arm's intervals of ISM and FDFR."""
        if self.people < 2:
            return ["no intervals: they need at least 2 people"]
        lines = []
        for arm in self.arms:
            ism = span(self.intervals[arm]["ism_all"]) or "none"
            fdfr = span(self.intervals[arm]["fdfr"]) or "none"
            lines.append(f"{arm}: 95 % over {count(self.people)}: ISM {ism}, FDFR {fdfr}")
        return lines


def summarise(
    results: Sequence[PersonResult],
    sets: Mapping[str, Mapping[str, float | None]],
    manifest: dict[str, Any],
    images: int | None = None,
) -> StudyTable:
    """Average over people, and compare the arms.

    Every arm is compared with the clean arm, and RID with noise, paired over people.

    Args:
        results: Result of :func:`eval.studies.results.read_results`.
        sets: Metrics of all people's images together, by arm.
        manifest: Manifest of the study.
        images: Generated images of an arm that ``sets`` is of; not known if None.
    """
    arms = list(results[0]["measured"])
    metrics = list(results[0]["measured"][arms[0]])
    rows: dict[str, dict[str, float]] = {}
    scores: dict[str, NDArray[np.float64]] = {}
    intervals: dict[str, dict[str, Interval | None]] = {}
    partial: list[str] = []
    for arm in arms:
        measured = [result["measured"][arm] for result in results]

        # Means, and notes on missing values.
        rows[arm] = {metric: mean_of(results, arm, metric) for metric in metrics}
        rows[arm] |= {
            metric: np.nan if value is None else value
            for metric, value in sets.get(arm, {}).items()
        }
        notes = [_partial(results, arm, metric) for metric in metrics]
        partial += [note for note in notes if note]

        # Identity scores are at least 0, also in the table.
        isms = [values["ism_all"] for values in measured]
        scores[arm] = identity_score(isms)
        partial += _bounded(arm, isms)
        if "ism_all" in metrics:
            rows[arm]["ism_all"] = mean_of_known(scores[arm])
        intervals[arm] = {
            "ism_all": mean_interval(known(scores[arm]), (0.0, 1.0)),
            "fdfr": share_interval(known([values["fdfr"] for values in measured])),
        }
    return StudyTable(
        arms=arms,
        rows=rows,
        intervals=intervals,
        comparisons=comparisons_of(results, scores),
        real_ism=mean_of_known([result["real_ism"] for result in results]),
        people=len(results),
        access=boxes(manifest, arms),
        attacked=attacked_model(manifest),
        references=references_of(results),
        budgets=tuple(measured_budgets(manifest, most_levels(results))),
        partial=partial + set_notes({metric for row in sets.values() for metric in row}, images),
    )


FID_IMAGES = 2048
"""Images below which FID is biased: the number of Inception's features."""
KID_IMAGES = 100
"""Images below which KID's subsets are all the same."""


def set_notes(metrics: set[str], images: int | None) -> list[str]:
    """Notes on FID and KID of few images; neither has an interval.

    Args:
        metrics: Metrics of sets that the table has.
        images: Generated images of an arm; not known if None.
    """
    notes = []
    number = "an unrecorded number of" if images is None else str(images)
    if "fid" in metrics and (images is None or images < FID_IMAGES):
        notes.append(
            f"FID over {number} images is biased below {FID_IMAGES} and has no interval: "
            "compare KID"
        )
    if "kid" in metrics:
        note = f"KID is one value over {number} images of all people together, without an interval"
        few = images is not None and images < KID_IMAGES
        notes.append(note + (f"; below {KID_IMAGES} all its subsets are the same" if few else ""))
    return notes


def comparisons_of(
    results: Sequence[PersonResult], scores: dict[str, NDArray[np.float64]]
) -> list[Comparison]:
    """Compare the ISM of all arms.

    Without recognized faces the FDFR is compared instead.
    """
    if any(np.isfinite(values).any() for values in scores.values()):
        return compare(scores)
    rates = {}
    for arm in scores:
        rates[arm] = np.array([result["measured"][arm]["fdfr"] for result in results])
    return compare(rates, metric="FDFR")


def references_of(results: Sequence[Mapping[str, Any]]) -> str:
    """Note on the number of reference images, with which ISM grows.

    Args:
        results: Results of people, or rows of several cells; with or without ``references``.
    """
    numbers = sorted({int(one["references"]) for one in results if one.get("references")})
    return f", {' or '.join(map(str, numbers))} reference pictures each" if numbers else ""


def most_levels(results: Sequence[PersonResult]) -> dict[str, float]:
    """Largest change of each arm over all people, in gray levels."""
    return {
        arm: max(result["measured"][arm].get("levels", 0.0) for result in results)
        for arm in results[0]["measured"]
    }


def known(values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Select the finite values."""
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]


def mean_of_known(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Mean of the finite values; NaN if there are none."""
    numbers = known(values)
    return float(numbers.mean()) if len(numbers) else float("nan")


def real_words(real_ism: float) -> str:
    """State the ISM between real images, or why there is none.

    Args:
        real_ism: Mean over people; NaN if the face detector computes no embeddings.
    """
    if np.isnan(real_ism):
        return "ISM is not measured, because the face detector computes no embeddings"
    return f"ISM between real pictures of the same person {real_ism:.3f}"


def attacked_model(manifest: dict[str, Any]) -> str:
    """Name of the model that a study's attack starts from."""
    weights = (manifest.get("settings") or {}).get("weights") or {}
    return str((weights.get("attacked") or {}).get("name", "?"))


def _bounded(arm: str, isms: Sequence[float]) -> list[str]:
    """Note on people whose ISM is below 0 and counts as 0; none without such people."""
    below = sum(ism < 0 for ism in isms)
    if not below:
        return []
    heading = METRICS["ism_all"]
    return [f"{arm}: {heading} is below 0 for {below} of {len(isms)} people, and counts as 0 there"]


def _partial(results: Sequence[PersonResult], arm: str, metric: str) -> str:
    """Note on a mean that leaves out some of the people.

    The note is empty for a mean over all people or none.
    """
    available = sum(not np.isnan(result["measured"][arm][metric]) for result in results)
    if not 0 < available < len(results):
        return ""
    heading = METRICS.get(metric, metric)
    return f"{arm}: {heading} is a mean over {available} of {len(results)} people"
