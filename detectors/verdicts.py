"""Verdicts on scored images: shares by class, and how many of them are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import Calibration
from detectors.guarantee import per_cent
from detectors.operating_points import OperatingPoint
from detectors.scores import Scores
from detectors.uncertainty import resampling_units, share_over_units
from engine.statistics import Interval

CLASSES = ("real", "generated")
"""Names of the classes by label."""

PREVALENCES = (0.5, 0.1, 0.01)
"""Shares of generated images that a test states the wrong verdicts for, unless one is asked for."""


def verdicts_on(
    scores: Scores, calibration: Calibration, point: OperatingPoint | None = None
) -> NDArray[np.str_]:
    """Return the verdicts on scored images, (N,).

    Args:
        scores: Scores of N images.
        calibration: Calibration of the detector.
        point: Operating point; None for the calibration's.
    """
    return calibration.verdicts(scores.logit, scores.distances, point)


def verdict_rates(scores: Scores, verdicts: NDArray[np.str_]) -> dict[str, Any]:
    """Shares of the verdicts by class, with intervals of the shares called generated and unsure.

    Args:
        scores: Scores of N images.
        verdicts: (N,) verdicts on them.

    Returns:
        By class the number of images, the shares of its verdicts, and the intervals of the shares
        called generated and unsure; None for a class without images.
    """
    units = resampling_units(scores)
    rates: dict[str, Any] = {}
    for label, kind in enumerate(CLASSES):
        mask = scores.label == label
        if not mask.any():
            rates[kind] = None
            continue
        called = verdicts[mask]
        shares = {name: float((called == name).mean()) for name in ("generated", "unsure", "real")}
        bounds = {
            f"{name}_interval": share_over_units(called == name, units[mask])
            for name in ("generated", "unsure")
        }
        rates[kind] = {"images": int(mask.sum())} | shares | bounds
    return rates


def verdict_table(scores: Scores, calibration: Calibration) -> list[dict[str, Any]]:
    """Shares of the verdicts at every operating point of a calibration."""
    rows = []
    for point in calibration.points:
        rates = verdict_rates(scores, verdicts_on(scores, calibration, point))
        rows.append({"max_fpr": point.max_fpr} | rates)
    return rows


def row_at(record: Mapping[str, Any], max_fpr: float | None) -> dict[str, Any] | None:
    """Find an operating point's row in the record of a test.

    Args:
        record: Record of a test.
        max_fpr: Rate of the point; None for that of the test's verdicts.
    """
    rate = record.get("max_fpr") if max_fpr is None else max_fpr
    for row in record.get("verdicts") or []:
        if row["max_fpr"] == rate:
            return dict(row)
    return None


def wrong_share(row: Mapping[str, Any], prevalence: float) -> float | None:
    """Share of the verdicts "generated" that are wrong, at a share of generated images.

    Args:
        row: Row of :func:`verdict_table`.
        prevalence: Share of generated images, between 0 and 1.

    Returns:
        The share; None without images of both classes, or without such verdicts.
    """
    if row["real"] is None or row["generated"] is None:
        return None
    return _wrong(row["real"]["generated"], row["generated"]["generated"], prevalence)


def wrong_range(row: Mapping[str, Any], prevalence: float) -> Interval | None:
    """Range of the share of wrong verdicts, at the ends of both classes' 95 % intervals.

    The lowest has the fewest real images accused and the most generated ones found; the highest
    has the reverse.

    Args:
        row: Row of :func:`verdict_table`.
        prevalence: Share of generated images, between 0 and 1.

    Returns:
        The range; None if the share or one of the intervals is undefined.
    """
    if wrong_share(row, prevalence) is None:
        return None
    accused, found = (row[kind]["generated_interval"] for kind in CLASSES)
    if accused is None or found is None:
        return None
    low, high = _wrong(accused[0], found[1], prevalence), _wrong(accused[1], found[0], prevalence)
    return None if low is None or high is None else Interval(low, high)


def _wrong(accused: float, found: float, prevalence: float) -> float | None:
    """Share of wrong verdicts from the shares of both classes called generated."""
    wrong, right = (1 - prevalence) * accused, prevalence * found
    return wrong / (wrong + right) if wrong + right else None


def verdict_lines(row: Mapping[str, Any], prevalence: float | None) -> list[str]:
    """Describe the verdicts of a test at one operating point.

    Args:
        row: Row of :func:`verdict_table`.
        prevalence: Share of generated images; None for those of :data:`PREVALENCES`.
    """
    parts = []
    for kind in CLASSES:
        shares = row[kind]
        if shares is not None:
            called = ", ".join(f"{shares[name]:.3f} {name}" for name in ("generated", "unsure"))
            interval = shares["generated_interval"]
            bounds = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
            called = called.replace(" generated", f"{bounds} generated", 1)
            parts.append(f"of {shares['images']} {kind} images {called}")
    lines = [f"verdicts at --max-fpr {row['max_fpr']:g}: {'; '.join(parts)}"]
    wrong = []
    for share in PREVALENCES if prevalence is None else (prevalence,):
        value = wrong_share(row, share)
        if value is not None:
            ends = wrong_range(row, share)
            bounds = f" [{per_cent(ends.low)}, {per_cent(ends.high)}]" if ends else ""
            where = f"where {per_cent(share)} of the images are generated"
            wrong.append(f"{per_cent(value)}{bounds} {where}")
    if wrong:
        brackets = " (in brackets at the ends of both intervals)" if "[" in wrong[0] else ""
        lines.append(f'wrong among the verdicts "generated": {"; ".join(wrong)}{brackets}')
    return lines
