"""Cells of the leaderboard's tables, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detectors.guarantee import per_cent as share_words
from detectors.summary import figure
from detectors.verdicts import CLASSES, wrong_range, wrong_share
from engine.pages.best import Wanted
from engine.statistics import least_negatives

NOTE = (
    "Ordered by balanced accuracy: the mean over real and over generated sets, so that predicting "
    "'generated' everywhere does not help. The paper's own total weighs generated sets 11 to 3. "
    "Like the paper's, accuracies of the MPBench table are at P = 0.5 without calibration. "
    "Detectors that were not scored on all of MPBench's sets come last, in the order of their own "
    "tests; these cannot be compared with each other. "
    "Intervals are over images (DeLong, Korn and Graubard); for people's answers, over people and "
    "images. Each is one detector's own, and not adjusted for the number of detectors compared. "
    "The oracle's threshold is chosen on the test itself; below 300 real images there is a dash. "
    "The floor is the calibration error that perfectly calibrated probabilities would have on as "
    "many images. The lowest of several AUCs is biased downwards by selection: it is corrected by "
    "repeating the selection in resamples, and its interval holds for all generators at once. "
    "Verdicts are by the calibration that a detector brought to its test. The rate bounds errors "
    "on each class of images like the calibration's; the table shows what it was on the test. "
    "The range of the share of wrong verdicts combines the ends of both classes' intervals. "
    "A star marks the best figure of a column as written; read its interval beside it."
)
"""Explanation above the tables."""


def image_counts(pictures: Mapping[str, int]) -> str:
    """Numbers of real and generated images, and of participants."""
    words = f"{pictures.get('real', 0)} + {pictures.get('generated', 0)}"
    return f"{words}, {pictures['people']} people" if "people" in pictures else words


def span(interval: Sequence[float] | None) -> str:
    """Format an interval; a dash if it is None."""
    return "-" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def calibration_words(figures: Mapping[str, Any]) -> str:
    """Calibration error, and its floor: the error of perfectly calibrated probabilities."""
    floor = figures.get("calibration_error_floor")
    words = figure(figures["calibration_error"])
    return words if floor is None else f"{words} (floor {floor:.3f})"


def oracle_words(record: Mapping[str, Any]) -> str:
    """True-positive rate at 1 % false positives, with its interval.

    A dash if the test has too few real images for that rate. Records of version 0.1 state the rate
    for fewer images; it is a dash for them as well.
    """
    value = record["oracle"]["tpr_at_fpr_1"]
    if value is None or record["pictures"].get("real", 0) < least_negatives(0.01):
        return "-"
    bounds = (record["intervals"] or {}).get("oracle_tpr_at_fpr_1")
    interval = f" ({span(bounds)})" if bounds else ""
    return figure(value) + interval


def worst_words(worst: Mapping[str, Any] | None) -> str:
    """Format the worst generator.

    The text states its AUC, the AUC corrected for selection, its number of images, and the number
    of generators.
    """
    if worst is None:
        return "-"
    words = f"{worst['generator']} ({worst['auc']:.3f}"
    if worst.get("corrected_auc") is not None:
        words += f"; corrected {worst['corrected_auc']:.3f}, {span(worst.get('interval'))}"
    if worst.get("generated") is not None:
        words += f"; n = {worst['generated']}; lowest of {worst['of']}"
    return words + ")"


def per_cent(value: float | None) -> str:
    """Format a percentage with one digit; a dash if it is undefined."""
    return "-" if value is None else f"{value:.1f}"


def verdict_head(prevalence: float) -> list[str]:
    """Columns of the table of verdicts, at a share of generated images."""
    wrong = f"wrong among verdicts generated, {share_words(prevalence)} being generated (range)"
    columns = ["detector", "max FPR"]
    for kind, called in zip(CLASSES, ("accused", "found"), strict=True):
        columns += [f"{kind} {called} (95 %)", f"{kind} unsure", f"n {kind}"]
    return [*columns, wrong]


def verdict_cells(row: Mapping[str, Any], prevalence: float) -> list[str]:
    """Cells of a detector in the table of verdicts, without its name.

    Args:
        row: Row of :func:`detectors.verdicts.verdict_table`.
        prevalence: Share of generated images, between 0 and 1.
    """
    cells = [f"{row['max_fpr']:g}"]
    for kind in CLASSES:
        shares = row[kind]
        if shares is None:
            cells += ["-", "-", "0"]
            continue
        called = f"{figure(shares['generated'])} ({span(shares['generated_interval'])})"
        cells += [called, figure(shares["unsure"]), str(shares["images"])]
    wrong = figure(wrong_share(row, prevalence))
    ends = wrong_range(row, prevalence)
    return [*cells, wrong if ends is None else f"{wrong} ({span(ends)})"]


def bounds_cell(bounds: tuple[float, float, int] | None) -> str:
    """Format an interval in per cent and its number of images."""
    if not bounds:
        return "-"
    low, high, images = bounds
    return f"{low:.1f} to {high:.1f}, n = {images}"


def wanted_directions(table: str, head: Sequence[str]) -> dict[int, Wanted]:
    """Better direction of the columns in which the best figure is marked.

    Args:
        table: Name of the table.
        head: Its columns.
    """
    if table == "Ranking":
        return {3: "higher", 5: "higher", 7: "lower", 8: "higher"}
    if table == "Verdicts":
        return {2: "lower", 3: "lower", 5: "higher", 6: "lower", 8: "lower"}
    return {} if "intervals" in table else dict.fromkeys(range(1, len(head)), "higher")
