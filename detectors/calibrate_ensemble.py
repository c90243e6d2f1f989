"""``python -m detectors calibrate`` of several detectors: calibrate them as one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from detectors.calibrate import history, with_data
from detectors.calibration import RATES, Calibration
from detectors.crop_rule import CENTER, CropRule
from detectors.detector import load_detector
from detectors.domain import halves
from detectors.ensemble import Ensemble, Member, common_images, refuse_twice, weights_sha256
from detectors.ensemble_questions import ensemble_questions
from detectors.platt import fit_platt
from detectors.scoring import OPTIONS, Answers, ScoreJob, find_stored, score
from detectors.uncertainty import resampling_units, without_copies
from engine.job import JobOptions


def calibrate_ensemble(
    names: Sequence[str],
    data: list[str],
    output: Path,
    rates: Sequence[float] = RATES,
    rule: CropRule = CENTER,
    options: JobOptions = OPTIONS,
    histories: float = 0.0,
) -> tuple[Calibration, Answers] | None:
    """Calibrate several detectors as one, and store them as an ensemble.

    Each detector's log-odds are fitted on one half of the images. The calibration of their mean is
    fitted on the other half, so that its bounds hold. A stopped run is continued.

    Args:
        names: Folders or Hub ids of the detectors.
        data: Patterns of shards.
        output: Folder of ``ensemble.json``.
        rates: Error rates of the operating points, between 0 and 1.
        rule: Crops to judge, now and whenever the calibration is used.
        options: Options of the job.
        histories: Share of the images to give a random history of edits to before they are scored,
            0 to 1.

    Returns:
        The calibration and the answers it is fitted on; None on every process but the first.

    Raises:
        FileNotFoundError: If a detector or shards are missing.
        ValueError: If a half of the images is of one class only, a rate is not between 0 and 1,
            one detector is given twice, or one was calibrated on other crops.
    """
    detectors = {name: load_detector(name, rule) for name in names}
    refuse_twice(names, [weights_sha256(name) for name in names])
    members = tuple(Member(name, "") for name in names)
    ensemble = Ensemble(detectors, members, None)
    shards = find_stored(list(detectors.values()), data)
    edit, edited = history(histories)
    by_detector, settings = ensemble_questions(ensemble, shards, edit)
    record = output / "calibration.run"
    job = ScoreJob("detectors calibrate", record / "shards", options)
    questions = [question for of_detector in by_detector for question in of_detector]
    answers = score(job, questions, record, {"detectors": settings} | edited)
    if answers is None:
        return None
    scored = common_images([answers.of(of_detector) for of_detector in by_detector])
    once = without_copies(scored[0])
    copies = len(scored[0]) - len(once)
    scored = [scores.where(once) for scores in scored]
    first_half = halves(resampling_units(scored[0]))
    fitted = []
    for name, scores in zip(names, scored, strict=True):
        scale, bias = fit_platt(scores.where(first_half))
        fitted.append(Member(name, "", scale, bias))
    ensemble = replace(ensemble, members=tuple(fitted))
    combined = ensemble.combine_scores([scores.where(~first_half) for scores in scored])
    calibration = with_data(Calibration.fit(combined, rates, rule), shards, histories, copies)
    replace(ensemble, calibration=calibration).save(output)
    shutil.rmtree(record)
    return calibration, answers
