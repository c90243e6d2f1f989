"""Evaluation of detectors on held-out shards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detectors.crop_rule import CropRule
from detectors.ensemble import Ensemble
from detectors.ensemble_questions import ensemble_questions
from detectors.scoring import (
    OPTIONS,
    Answers,
    ScoreJob,
    find_stored,
    score,
)
from detectors.summary import (
    auc_interval,
    calibrated_metrics,
    figure,
    flipped_labels,
    interval_of,
    summarise,
)
from detectors.verdicts import row_at, verdict_lines
from engine.files import write_text
from engine.job import JobOptions
from engine.manifest import read_manifest, write_manifest
from engine.records import to_json

MIN_RESAMPLES = 40
"""Smallest number of bootstrap samples with 2.5 % and 97.5 % quantiles."""


def measure(
    names: Sequence[str],
    data: list[str],
    output: Path,
    resamples: int = 200,
    max_fpr: float | None = None,
    rule: CropRule | None = None,
    options: JobOptions = OPTIONS,
) -> tuple[dict[str, Any], Answers] | None:
    """Evaluate a detector, or an ensemble, on shards.

    Writes ``scores.parquet``, ``summary.json`` and ``manifest.json``. The scores of each shard are
    kept in ``shards/``: a stopped test is continued, and a changed shard is scored again.

    Args:
        names: Folder or Hub id of a detector; folder of an ensemble; or several detectors, which
            are combined by their mean log-odds and not calibrated as a whole.
        data: Patterns of shards.
        output: Folder of the results.
        resamples: Bootstrap samples of the intervals; 0 for none, or at least
            :data:`MIN_RESAMPLES`.
        max_fpr: Rate of the operating point of the verdicts; None for the calibration's.
        rule: Crops to judge; None for the calibration's.
        options: Options of the job.

    Returns:
        The record of :func:`detectors.summary.summarise`, with the unreadable images, and the
        answers; None on every process but the first.

    Raises:
        FileNotFoundError: If a detector or shards are missing.
        ValueError: If there are too few resamples, the folder holds the test of another detector,
            or a calibration is of other crops.
    """
    if resamples < 0 or 0 < resamples < MIN_RESAMPLES:
        msg = f"resamples is 0, for no intervals, or at least {MIN_RESAMPLES}; got {resamples}"
        raise ValueError(msg)
    # a question for each detector and shard
    ensemble = Ensemble.open(names, max_fpr, rule=rule)
    shards = find_stored(list(ensemble.detectors.values()), data)
    by_detector, settings = ensemble_questions(ensemble, shards)
    weights = []
    for name, of_detector in zip(ensemble.detectors, settings, strict=True):
        weights.append({"name": name, "sha256": of_detector["weights"]})
    # score all of them
    job = ScoreJob("detectors test", output / "shards", options)
    questions = [question for of_detector in by_detector for question in of_detector]
    facts = {"detectors": weights, "data": data, "resamples": resamples}
    answers = score(job, questions, output, {"detectors": settings}, **facts)
    if answers is None:
        return None
    # combine several detectors, and write the results
    scores = ensemble.combine_scores([answers.of(of_detector) for of_detector in by_detector])
    calibration = ensemble.calibration
    scores.write(output / "scores.parquet")
    record = summarise(scores, calibration, resamples) | {"failed": answers.unread}
    write_text(output / "summary.json", to_json(record))
    counts = {"images": {"done": len(scores), "failed": len(answers.unread)}}
    write_manifest(output, **(read_manifest(output) or {}) | counts)
    return record, answers


def summary_text(record: dict[str, Any], prevalence: float | None = None) -> str:
    """Format the main metrics of a test as text.

    Args:
        record: Record of the test.
        prevalence: Share of generated images for which the share of wrong verdicts is stated; None
            for several.
    """
    calibrated = bool(record["calibrated"])
    metrics = calibrated_metrics(record)
    interval = auc_interval(record)
    counts = record["pictures"]
    auc = f"AUC {figure(record['ranking']['auc'])}"
    if interval:
        auc += f" [{interval[0]:.3f}, {interval[1]:.3f}]"
    note = "calibrated" if calibrated else "not calibrated: python -m detectors calibrate"
    lines = [
        f"{counts['real']} real and {counts['generated']} generated images",
        auc,
        f"balanced accuracy {figure(metrics['balanced_accuracy'])}"
        f"{_brackets(interval_of(record, 'balanced_accuracy'))}, "
        f"calibration error {figure(metrics['calibration_error'])} ({note}), "
        f"of which chance makes {figure(metrics['calibration_error_floor'])}",
    ]
    if row := row_at(record, None):
        lines += verdict_lines(row, prevalence)
    generators = record["slices"]["generator"]
    if generators:
        when = "calibrated P" if calibrated else "P"
        lines.append(f"by generator, recall at {when} = 0.5:")
    for name, facts in generators.items():
        recall = f"recall {figure(facts['generated_accuracy'])} of {facts['generated']}"
        bounds = []
        for figure_name, words in (("auc", "AUC"), ("generated_accuracy", "recall")):
            if interval := facts["intervals"].get(figure_name):
                bounds.append(f"of {words}{_brackets(interval)}")
        lines.append(
            f"  {name}: AUC {figure(facts['auc'])} against {facts['real']} real, {recall}"
            + (f"; 95 % {', '.join(bounds)}" if bounds else "")
        )
    if record["worst"]:
        lines.append(_worst(record["worst"]))
    if warning := flipped_labels(record):
        lines.append(warning)
    return "\n".join(lines)


def _brackets(interval: Sequence[float] | None) -> str:
    """Format a 95 % interval in brackets; empty without one."""
    return f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""


def _worst(worst: dict[str, Any]) -> str:
    """Format the worst generator and its AUC, corrected for selection."""
    text = f"worst generator, lowest of {worst['of']}: {worst['generator']}"
    if worst.get("corrected_auc") is None:
        return text
    interval = _brackets(worst["interval"])
    return f"{text}, AUC {worst['corrected_auc']:.3f}{interval} corrected for selection"
