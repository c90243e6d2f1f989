"""Several detectors as one: the mean of their calibrated log-odds, and a verdict only where they agree."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from detectors.calibration import Calibration
from detectors.scores import Scores, log_odds, sigmoid


def combined(
    scored: Sequence[Scores], calibrations: Sequence[Calibration]
) -> tuple[Scores, Calibration]:
    """Scores of an ensemble, and what they mean.

    Args:
        scored: Of each detector, of the same pictures in the same order, but for those that one of them could not read.
        calibrations: Of each detector.

    Returns:
        Mean log-odds of the pictures that all could read, and a calibration that changes nothing; it is fitted only if all of them are.
    """
    names = [
        np.char.add(np.char.add(part.facts["subset"], "/"), part.facts["key"]) for part in scored
    ]
    everywhere = reduce(np.intersect1d, names)
    parts = [
        part.where(np.isin(name, everywhere)) for part, name in zip(scored, names, strict=True)
    ]
    odds = [
        calibration.scale * part.logit + calibration.bias
        for part, calibration in zip(parts, calibrations, strict=True)
    ]
    return Scores(parts[0].label, np.mean(odds, axis=0), parts[0].facts), Calibration(
        pictures=min(one.pictures for one in calibrations)
    )


def combine_verdicts(
    logits: Sequence[float], calibrations: Sequence[Calibration]
) -> tuple[str, float, float]:
    """Combine the answers of detectors to one image.

    Args:
        logits: Of each detector.
        calibrations: Of each detector.

    Returns:
        The verdict, "unsure" where several do not all say the same; P(generated); and its log-odds, or the logit itself of
        a single detector.
    """
    answers = [
        float(one.probability(np.array(logit)))
        for logit, one in zip(logits, calibrations, strict=True)
    ]
    verdicts = {one.verdict(answer) for answer, one in zip(answers, calibrations, strict=True)}
    verdict = verdicts.pop() if len(verdicts) == 1 else "unsure"
    if len(answers) == 1:
        return verdict, answers[0], logits[0]
    odds = float(np.mean([log_odds(answer) for answer in answers]))
    return verdict, float(sigmoid(np.array(odds))), odds
