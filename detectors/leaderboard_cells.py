"""Cells of the leaderboard's tables, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detectors.summary import figure
from engine.statistics import least_negatives


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
