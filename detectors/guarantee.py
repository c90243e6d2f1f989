"""Sentences that say what a calibration bounds, and what its P assumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detectors.calibration import REMEDY, Calibration
from engine.statistics import least_scores

if TYPE_CHECKING:
    from detectors.calibration_record import CalibrationData
    from detectors.ensemble import Ensemble


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
    real, generated = (None, None) if data is None else (data.real, data.generated)
    parts = []
    for kind, wrong, count, threshold in (
        ("real", "generated", real, point.generated_above),
        ("generated", "real", generated, point.real_below),
    ):
        if threshold is None:
            parts.append(
                f"no image is called {wrong}: at {rate} that takes {least_scores(point.max_fpr)} "
                f"{kind} images of calibration" + ("" if count is None else f", there are {count}")
            )
        else:
            parts.append(
                f"a {kind} image like {'those' if count is None else f'the {count}'} of the "
                f"calibration{history_words(data)} is called {wrong} "
                f"with a probability of at most {rate}"
            )
    return ", and ".join(parts)


def history_words(data: CalibrationData | None) -> str:
    """Say how many of a calibration's images were edited; nothing if none was."""
    if data is None or not data.histories:
        return ""
    share = "all" if data.histories == 1 else per_cent(data.histories)
    return f", {share} of which had a random history of edits,"


def ensemble_words(ensemble: Ensemble) -> list[str]:
    """Say what the verdicts of one or several detectors bound, and what their P assumes."""
    if ensemble.calibration is not None:
        domains = [detector.calibration for detector in ensemble.detectors.values()]
        return [
            *crop_words(ensemble.calibration),
            bound_words(ensemble.calibration),
            *dict.fromkeys(map(domain_words, domains)),
            prior_words(ensemble.calibration),
            NOT_BOUNDED,
        ]
    words = [
        "several detectors that are not calibrated as a whole: no P, and a verdict only where all "
        "agree, so that the bounds of each hold"
    ]
    for name, detector in ensemble.detectors.items():
        words.append(f"{name}: {bound_words(detector.calibration)}")
    return [*words, NOT_BOUNDED]


def crop_words(calibration: Calibration) -> list[str]:
    """Say which crops are judged; nothing for one center crop."""
    rule = calibration.crops
    if rule.crops == "center":
        return []
    layouts = {"five": "corners and center", "tiles": "tiles that cover it"}
    highest = rule.pool.removeprefix("top-")
    pools = {"mean": "the mean logit", "max": "the highest logit"}
    pool = pools.get(rule.pool, f"the mean of the {highest} highest logits")
    return [f"an image is judged by {layouts[rule.crops]}: {pool} of these crops"]


def purpose_words(name: str, purpose: str) -> str:
    """Say what a detector was made for."""
    unknown = "nothing says what it was made for; it has no card"
    return f"{name}: {purpose or unknown}"


def prior_words(calibration: Calibration) -> str:
    """Say what share of generated images P assumes."""
    if not calibration.images:
        return "not calibrated: P is a raw score"
    return f"P assumes that {per_cent(calibration.prior)} of the images are generated"


def domain_words(calibration: Calibration) -> str:
    """Say how often an image like those of the calibration is called unlike them."""
    domain = calibration.domain
    if domain is None:
        return (
            "no guard against images unlike those of the calibration: a verdict on them is a guess"
        )
    others = f", as {domain.unlike:,} others are," if domain.unlike else ""
    return (
        f"an image unlike those of the calibration{others} is unsure; one like them is taken for "
        f"unlike with a probability of at most {per_cent(domain.rate)}"
    )


NOT_BOUNDED = (
    "The bound is on each class. How many of the verdicts are wrong depends on how many of the "
    'images are generated: where few are, most verdicts "generated" can be wrong.'
)
"""Limits of the bound."""


def per_cent(share: float) -> str:
    """Format a share as a percentage."""
    return f"{100 * share:.4g} %"
