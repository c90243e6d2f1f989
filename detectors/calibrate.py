"""``python -m detectors calibrate``: calibrate a detector on held-out shards."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from checkpoints.folders import model_path
from datamodules.exact import ExactBatch, feature_width
from datamodules.shards import StoredShard
from detectors.calibration import RATES, Calibration
from detectors.calibration_record import DomainData
from detectors.crop_rule import CENTER, CropRule
from detectors.detector import Detector, load_detector
from detectors.domain import RATE, Domain, Floats, halves
from detectors.scores import Scores
from detectors.scoring import (
    OPTIONS,
    Answers,
    Question,
    Rows,
    ScoreJob,
    detector_settings,
    find_stored,
    score,
    shard_by_shard,
)
from detectors.uncertainty import resampling_units, without_copies
from engine.files import atomic_write
from engine.job import JobOptions
from images.transforms import RandomHistory

UNLIKE = "unlike/"
"""Start of the names of questions on images unlike those of the calibration."""


class CalibrationJob(ScoreJob):
    """Job that writes scores, features and factors of scaling of every question."""

    def outputs(self, detector: Detector, batch: ExactBatch) -> Rows:
        logits, features = detector.logits_and_features_of(batch.inputs)
        factors = batch.factors or [math.nan] * len(logits)
        rows = []
        for logit, feature, factor in zip(logits, features, factors, strict=True):
            rows.append({"logit": logit, "features": feature, "factor": factor})
        return rows

    def write(self, source: Question, finished: tuple[Rows, list[str]]) -> dict[str, Any]:
        rows, _ = finished
        features = [row.pop("features") for row in rows]
        factors = [row.pop("factor") for row in rows]
        if rows:
            target = self.feature_file(source.name)
            with atomic_write(target) as partial, partial.open("wb") as stream:
                np.save(stream, np.c_[np.stack(features), factors].astype(np.float32))
        return super().write(source, finished)

    def exists(self, source: Question, row: dict[str, Any]) -> bool:
        there = not row["images"] or self.feature_file(source.name).is_file()
        return there and super().exists(source, row)

    def feature_file(self, name: str) -> Path:
        """Return the file of a question's features."""
        return self.folder / f"{name}.features.npy"

    def features(
        self, answers: Answers, questions: Sequence[Question]
    ) -> tuple[Floats, Floats | None]:
        """Read features, (N, D), and factors, (N,), in the order of :meth:`Answers.of`.

        The factors are None for shards of features.
        """
        names = [question.name for question in questions if question.name in answers.scores]
        parts = [np.load(self.feature_file(name), allow_pickle=False) for name in names]
        joined = np.concatenate(parts).astype(np.float64)
        factors = joined[:, -1]
        return joined[:, :-1], None if np.isnan(factors).any() else factors


def calibrate(
    name: str,
    data: list[str],
    rates: Sequence[float] = RATES,
    rule: CropRule = CENTER,
    options: JobOptions = OPTIONS,
    histories: float = 0.0,
    unlike: Sequence[str] = (),
) -> tuple[Calibration, Answers] | None:
    """Calibrate a detector on held-out images, and store the calibration.

    A stopped run is continued. Its record is a folder beside the detector's, which is deleted when
    all images are scored.

    Args:
        name: Folder of the detector, or a checkpoint (``.ckpt``), beside which a folder of its
            name is written.
        data: Patterns of shards.
        rates: Error rates of the operating points, between 0 and 1.
        rule: Crops to judge, now and whenever the calibration is used.
        options: Options of the job.
        histories: Share of the images to give a random history of edits to before they are scored,
            0 to 1; also of those of ``unlike``.
        unlike: Patterns of shards of images that the detector should be unsure of, whatever their
            labels; see :class:`detectors.separator.Separator`.

    Returns:
        The calibration and the answers it is fitted on; None on every process but the first.

    Raises:
        FileNotFoundError: If the detector or shards are missing.
        ValueError: If the shards hold one class only, a rate or ``histories`` is out of range, or
            shards of ``unlike`` are among those of ``data``, or not of the same kind.
    """
    detector = load_detector(name)
    detector.calibration = replace(detector.calibration, crops=rule)
    target = calibration_folder(name)
    edit, edited = history(histories)
    settings = detector_settings(name, detector) | edited
    shards = find_stored([detector], data)
    others = find_unlike(detector, data, shards, unlike)
    questions = shard_by_shard(detector, shards, edit=edit)
    other_questions = shard_by_shard(detector, others, UNLIKE, edit) if others else []
    record = target.with_name(f"{target.name}.calibration-{settings['weights'][:8]}")
    job = CalibrationJob("detectors calibrate", record / "shards", options)
    answers = score(job, [*questions, *other_questions], record, settings)
    if answers is None:
        return None
    scores = answers.of(questions)
    features, factors = job.features(answers, questions)
    # a copy is no further image to bound a rate with
    once = without_copies(scores)
    copies = len(scores) - len(once)
    scores, features = scores.where(once), features[once]
    factors = None if factors is None else factors[once]
    other_features = None
    if others:
        answers.of(other_questions)  # tells if none can be read
        other_features, _ = job.features(answers, other_questions)
    shutil.rmtree(record)
    has_folder = target.is_dir()
    if not has_folder:
        # scoring may have changed the precision of the weights
        detector = load_detector(name)
    calibration = with_data(Calibration.fit(scores, rates, rule), shards, histories, copies)
    detector.domain, guard = fit_domain(scores, features, other_features, factors)
    if guard is not None and others:
        guard = replace(guard, unlike_shards=shard_hashes(others))
    detector.calibration = replace(calibration, domain=guard)
    save = detector.save_extras if has_folder else detector.save_pretrained
    save(target)
    return detector.calibration, answers


def history(share: float) -> tuple[RandomHistory | None, dict[str, str]]:
    """Return the edit of a share of the images, and the settings that name it; none for 0.

    Raises:
        ValueError: If the share is not from 0 to 1.
    """
    if not share:
        return None, {}
    edit = RandomHistory(share)
    return edit, {"edit": str(edit)}


def find_unlike(
    detector: Detector, data: Sequence[str], shards: Sequence[StoredShard], unlike: Sequence[str]
) -> tuple[StoredShard, ...]:
    """Find the shards of images unlike those of the calibration; none if none is named.

    Args:
        detector: Detector to score with.
        data: Patterns of the calibration's shards.
        shards: The calibration's shards.
        unlike: Patterns of the other shards.

    Raises:
        FileNotFoundError: If one is missing.
        ValueError: If one is of the calibration, or only one side is of images.
    """
    if not unlike:
        return ()
    others = find_stored([detector], unlike)
    own = {shard.url for shard in shards}
    feature_width([*data, *unlike], [*own, *(shard.url for shard in others)])  # or raises
    if both := [shard.url for shard in others if shard.url in own]:
        msg = f"{', '.join(both)}: in --data and --unlike; an image is of one of them"
        raise ValueError(msg)
    return others


def fit_domain(
    scores: Scores,
    features: Floats,
    unlike: Floats | None = None,
    factors: Floats | None = None,
) -> tuple[Domain | None, DomainData | None]:
    """Fit the guard against images unlike those of the calibration, with its record.

    Args:
        scores: Scores of N images.
        features: (N, D) features of them.
        unlike: (M, D) features of images unlike those of the calibration; None for none.
        factors: (N,) factors by which the view scaled the images; None if unknown.

    Returns:
        The guard and its record, whose hash is set when it is saved; None if there are too few
        images or no features.
    """
    units = resampling_units(scores)
    if not features.shape[1]:
        return None, None
    domain = Domain.fit(features, scores.label, units, unlike, factors)
    if domain is None:
        return None, None
    fitted = int(halves(units).sum())
    others = 0 if unlike is None else len(unlike)
    return domain, DomainData(RATE, fitted, len(scores) - fitted, "", others)


def with_data(
    calibration: Calibration, shards: Sequence[StoredShard], histories: float, copies: int
) -> Calibration:
    """Complete the record of a calibration's images.

    Args:
        calibration: The calibration.
        shards: Shards of the images.
        histories: Share of the images with a random history of edits, 0 to 1.
        copies: Number of copies that were left out.
    """
    data = calibration.data
    if data is None:
        return calibration
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    record = replace(data, date=today, shards=shard_hashes(shards), histories=histories)
    return replace(calibration, data=replace(record, copies=copies))


def shard_hashes(shards: Sequence[StoredShard]) -> dict[str, str]:
    """Return the SHA-256 of each shard by its file name; empty for a remote one."""
    return {PurePosixPath(shard.url).name: shard.sha256 for shard in shards}


def calibration_folder(name: str) -> Path:
    """Return the folder that holds a detector's calibration.

    It is the detector's folder, or, for a checkpoint, a new folder of its name beside it.

    Raises:
        FileNotFoundError: If there is no such detector.
        ValueError: If the new folder exists already.
    """
    location = model_path(name)
    if location.is_dir():
        return location
    folder = location.with_suffix("")
    if folder.exists():
        msg = (
            f"{location}: a checkpoint cannot hold a calibration, and {folder}, "
            "where the detector would be saved with it, exists; name that"
        )
        raise ValueError(msg)
    return folder
