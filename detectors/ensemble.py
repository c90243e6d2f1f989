"""Ensembles of detectors: mean log-odds, and a common verdict."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from detectors.calibration import Calibration
from detectors.scores import Scores, log_odds, sigmoid


def combine_scores(
    scored: Sequence[Scores], calibrations: Sequence[Calibration]
) -> tuple[Scores, Calibration]:
    """Combine the scores of several detectors.

    Args:
        scored: Scores of each detector, of the same images in the same order. An image that a
            detector could not read may be missing.
        calibrations: Calibration of each detector.

    Returns:
        Mean log-odds of the images that all could read, and an identity calibration. It counts as
        fitted only if all of them are.
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
    combined = Scores(parts[0].label, np.mean(log_odds_of_each, axis=0), parts[0].facts)
    fewest = min(calibration.pictures for calibration in calibrations)
    return combined, Calibration(pictures=fewest)


def combine_verdicts(
    logits: Sequence[float], calibrations: Sequence[Calibration]
) -> tuple[str, float, float]:
    """Combine the logits of detectors for one image.

    Args:
        logits: Logit of each detector.
        calibrations: Calibration of each detector.

    Returns:
        The verdict, "unsure" where detectors disagree; P(generated); and its log-odds, or the
        logit of a single detector.
    """
    probabilities = []
    verdicts = set()
    for logit, calibration in zip(logits, calibrations, strict=True):
        probability = float(calibration.probability(np.array(logit)))
        probabilities.append(probability)
        verdicts.add(calibration.verdict(probability))
    verdict = verdicts.pop() if len(verdicts) == 1 else "unsure"
    if len(probabilities) == 1:
        return verdict, probabilities[0], logits[0]
    mean = float(np.mean([log_odds(probability) for probability in probabilities]))
    return verdict, float(sigmoid(np.array(mean))), mean
