"""Sentences that say what a calibration bounds, and what its P assumes."""

from __future__ import annotations

from collections.abc import Sequence

from detectors.calibration import REMEDY, Calibration
from engine.statistics import least_scores


def bound_words(calibration: Calibration) -> str:
    """Say which error rates the verdicts bound."""
    point = calibration.point
    if point is None:
        return f"not calibrated: every verdict is unsure; {REMEDY.replace('again ', '')}"
    if not calibration.conformal:
        return (
            f"the thresholds are quantiles of {calibration.images} images, by a calibration of an "
            f"earlier version: they bound no error rate on new images; {REMEDY}"
        )
    rate = per_cent(point.max_fpr)
    data = calibration.data
    real, generated = (0, 0) if data is None else (data.real, data.generated)
    parts = []
    for kind, wrong, count, threshold in (
        ("real", "generated", real, point.generated_above),
        ("generated", "real", generated, point.real_below),
    ):
        if threshold is None:
            parts.append(
                f"no image is called {wrong}: at {rate} that takes {least_scores(point.max_fpr)} "
                f"{kind} images of calibration, there are {count}"
            )
        else:
            parts.append(
                f"a {kind} image like the {count} of the calibration is called {wrong} "
                f"with a probability of at most {rate}"
            )
    return ", and ".join(parts)


def ensemble_words(calibrations: Sequence[Calibration]) -> str:
    """Say which error rates the verdicts of one or several detectors bound."""
    if len(calibrations) == 1:
        return bound_words(calibrations[0])
    return (
        "several detectors, not calibrated as a whole: no P; a verdict is given where all agree, "
        f"so that the bounds of each hold. The first: {bound_words(calibrations[0])}"
    )


def prior_words(calibration: Calibration) -> str:
    """Say what share of generated images P assumes."""
    if not calibration.images:
        return "not calibrated: P is a raw score"
    return f"P assumes that {per_cent(calibration.prior)} of the images are generated"


NOT_BOUNDED = (
    "The bound is on each class. How many of the verdicts are wrong depends on how many of the "
    'images are generated: where few are, most verdicts "generated" can be wrong.'
)
"""What the bound is not on."""


def per_cent(share: float) -> str:
    """Format a share as a percentage."""
    return f"{100 * share:.4g} %"
