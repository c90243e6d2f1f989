"""Ensembles of detectors: mean log-odds, and a common verdict."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from detectors.calibration import Calibration
from detectors.scores import Scores


def combine_scores(scored: Sequence[Scores], calibrations: Sequence[Calibration]) -> Scores:
    """Combine the scores of several detectors.

    Args:
        scored: Scores of each detector, of the same images in the same order. An image that a
            detector could not read may be missing.
        calibrations: Calibration of each detector.

    Returns:
        Mean log-odds of the images that all could read. They are not calibrated, even if those of
        each detector are: an average of calibrated probabilities is not.
    """
    # keep the images that all detectors have read
    names = [np.char.add(np.char.add(s.facts["subset"], "/"), s.facts["key"]) for s in scored]
    common = reduce(np.intersect1d, names)
    log_odds_of_each = []
    parts = []
    for scores, name, calibration in zip(scored, names, calibrations, strict=True):
        part = scores.where(np.isin(name, common))
        parts.append(part)
        log_odds_of_each.append(calibration.scale * part.logit + calibration.bias)
    return Scores(parts[0].label, np.mean(log_odds_of_each, axis=0), parts[0].facts)


def combine_verdicts(
    logits: Sequence[float], calibrations: Sequence[Calibration]
) -> tuple[str, float | None, float]:
    """Combine the logits of detectors for one image.

    Args:
        logits: Logit of each detector.
        calibrations: Calibration of each detector.

    Returns:
        The verdict, "unsure" where detectors disagree; P(generated), None for several detectors;
        and the logit, or the mean log-odds of several.
    """
    pairs = list(zip(logits, calibrations, strict=True))
    verdicts = {calibration.verdict(logit) for logit, calibration in pairs}
    verdict = verdicts.pop() if len(verdicts) == 1 else "unsure"
    if len(pairs) == 1:
        return verdict, float(calibrations[0].probability(np.array(logits[0]))), logits[0]
    log_odds = [calibration.scale * logit + calibration.bias for logit, calibration in pairs]
    return verdict, None, float(np.mean(log_odds))
