"""Scoring of shards: a detector's logits for all images."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from checkpoints.folders import weight_file
from datamodules.exact import ExactBatch, feature_width, read_batches, read_exactly
from datamodules.shards import StoredShard, count_samples, find_shards
from detectors.crop_rule import CENTER
from detectors.detector import Detector
from detectors.feature_shards import check_features
from detectors.forward import CROPS_AT_ONCE
from detectors.scores import DISTANCES, Scores
from engine.devices import Process
from engine.files import file_digest
from engine.job import Batch, Job, JobOptions, Report
from engine.run_job import run_job
from images.transforms import Edit

Rows = list[dict[str, Any]]

OPTIONS = JobOptions(batch_size=64, workers=4)
"""Default options of scoring."""


@dataclass(frozen=True)
class Question:
    """Shards that a detector scores in one step.

    Attributes:
        name: Name of the result in the job.
        detector: Detector to score with.
        shards: Shards of images or features.
        edit: Edit applied to every image before the view.
    """

    name: str
    detector: Detector
    shards: tuple[StoredShard, ...]
    edit: Edit | None = None

    group: ClassVar[str] = ""

    @property
    def size(self) -> int:
        """Total size of the shards, in bytes."""
        return sum(shard.size for shard in self.shards)

    @property
    def mtime_ns(self) -> int:
        """Latest modification time of the shards, in nanoseconds."""
        return max(shard.mtime_ns for shard in self.shards)

    def digest(self) -> str:
        """Compute the SHA-256 of the shards' hashes."""
        return hashlib.sha256("".join(shard.sha256 for shard in self.shards).encode()).hexdigest()


class ScoreJob(Job[Question, Question, tuple[Rows, list[str]], tuple[Rows, list[str]]]):
    """Job that writes a score file for every question.

    Args:
        command: Command of the job, such as ``detectors test``.
        folder: Folder of the files.
        options: Images per forward pass, and threads that open them.
        unit: Name of a question in messages.
    """

    def __init__(
        self, command: str, folder: Path, options: JobOptions, unit: str = "shard"
    ) -> None:
        self.command = command  # type: ignore[misc]
        self.unit = unit  # type: ignore[misc]
        self.folder = folder
        self.options = options

    def setup(self, process: Process) -> None:
        self.process = process

    def prepare(self, source: Question) -> Question:
        return source

    def step(self, batch: Batch[Question, Question]) -> list[tuple[Rows, list[str]]]:
        return [self._answers(question) for question in batch.prepared]

    def _answers(self, question: Question) -> tuple[Rows, list[str]]:
        """Score a question's images.

        Returns:
            The images' records with ``label`` and ``logit``, and the errors of unreadable images.
        """
        detector = question.detector.eval().to(self.process.device, self.process.dtype)
        urls = [shard.url for shard in question.shards]
        total = sum(map(count_samples, urls))
        done = 0
        rows: Rows = []
        failed: list[str] = []
        rule = detector.calibration.crops
        images = self.options.batch_size
        if rule.crops != "center":
            # some of the images at a time, as crops are many
            images = max(1, images // CROPS_AT_ONCE)
        samples = read_exactly(urls, rule.of(detector.view), self.options.workers, question.edit)
        for batch in read_batches(images, samples):
            failed += [record["error"] for record in batch.unread]
            outputs = self.outputs(detector, batch) if batch.inputs else []
            for sample, output in zip(batch.samples, outputs, strict=True):
                rows.append(sample["record"] | {"label": sample["label"]} | output)
            done += len(batch.samples) + len(batch.unread)
            self.report_step(done, total)
        return rows, failed

    def outputs(self, detector: Detector, batch: ExactBatch) -> Rows:
        """Compute a row's values of the detector, for each image."""
        rows = []
        for output in detector.outputs_of(batch.inputs, batch.factors):
            distances = dict(zip(DISTANCES, output.distances or (), strict=False))
            rows.append({"logit": output.logit} | distances)
        return rows

    def finish(self, prepared: Question, result: tuple[Rows, list[str]]) -> tuple[Rows, list[str]]:
        return result

    def write(self, source: Question, finished: tuple[Rows, list[str]]) -> dict[str, Any]:
        rows, failed = finished
        if rows:
            Scores.of(rows).write(self.file(source.name))
        return {"images": len(rows), "failed": failed}

    def exists(self, source: Question, row: dict[str, Any]) -> bool:
        return not row["images"] or self.file(source.name).is_file()

    def input_bytes(self, source: Question) -> int:
        return 0

    def file(self, name: str) -> Path:
        """Return the score file of a question."""
        return self.folder / f"{name}.parquet"


@dataclass(frozen=True)
class Answers:
    """Answers to the questions of a job.

    Attributes:
        scores: Scores by question, without questions that have no readable image.
        unread: Error of every unreadable image.
        report: Report of the job.
    """

    scores: dict[str, Scores]
    unread: list[str]
    report: Report

    def of(self, questions: Sequence[Question]) -> Scores:
        """Join the scores of questions, in their order.

        Raises:
            ValueError: If there are none; the message gives the first error.
        """
        names = [question.name for question in questions]
        parts = [self.scores[name] for name in names if name in self.scores]
        if not parts:
            errors = [*self.report.failed.values(), *self.unread]
            empty = "no samples in these shards: name other shards, or write them again"
            raise ValueError(errors[0] if errors else empty)
        return Scores.joined(parts)


def find_stored(detectors: Sequence[Detector], data: Sequence[str]) -> tuple[StoredShard, ...]:
    """Find the shards that detectors are to score.

    Raises:
        FileNotFoundError: If one is missing.
        ValueError: If none is named, images and features are mixed, or features are of another
            backbone or of one crop where several are asked for.
    """
    shards = dict.fromkeys(shard for pattern in data for shard in find_shards(pattern))
    if not shards:
        msg = "no shards: name some with --data '[SHARDS/val-*.tar]'"
        raise ValueError(msg)
    width = feature_width(data, list(shards))
    for detector in detectors:
        rule = detector.calibration.crops
        if width is not None and rule.crops != "center":
            msg = f"{rule}: features are of one crop of each image; name shards of images"
            raise ValueError(msg)
        check_features(detector, data)
    return tuple(StoredShard(shard) for shard in shards)


def shard_by_shard(
    detector: Detector,
    shards: Sequence[StoredShard],
    start: str = "",
    edit: Edit | None = None,
) -> list[Question]:
    """Build a question for every shard.

    Args:
        detector: Detector to score with.
        shards: Shards of images or features.
        start: Start of the questions' names; the rest is the shard's path below the folder that
            all shards have in common.
        edit: Edit applied to every image before the view.
    """
    # not os.path.commonpath, which would shorten "://"
    urls = [shard.url for shard in shards]
    common = os.path.commonprefix(urls).rfind("/") + 1  # noqa: RUF071
    return [Question(start + shard.url[common:], detector, (shard,), edit) for shard in shards]


def detector_settings(name: str, detector: Detector) -> dict[str, Any]:
    """Return the settings of a manifest that a detector's logits depend on."""
    settings: dict[str, Any] = {"weights": file_digest(weight_file(name))}
    settings["view"] = asdict(detector.view)
    calibration = detector.calibration
    if calibration.domain is not None:
        settings["domain"] = calibration.domain.sha256
    if calibration.crops != CENTER:
        settings["crops"] = str(calibration.crops)
    return settings


def score(
    job: ScoreJob,
    questions: Sequence[Question],
    record: Path,
    settings: dict[str, Any],
    **facts: Any,
) -> Answers | None:
    """Score all questions.

    A stopped run is continued.

    Args:
        job: The job.
        questions: Questions with different names.
        record: Folder of manifest and journal.
        settings: Settings that the scores depend on, without the shards.
        facts: Further entries of the manifest.

    Returns:
        The answers; None on every process but the first.

    Raises:
        ValueError: If the folder holds another job.
    """
    one_by_one = JobOptions(job.options.devices, batch_size=1, workers=0)
    report = run_job(job, questions, record, settings, one_by_one, facts=facts)
    if report is None:
        return None
    scores: dict[str, Scores] = {}
    unread: dict[str, None] = {}
    for name, row in report.rows:
        if row["images"]:
            scores[name] = Scores.read(job.file(name))
        unread |= dict.fromkeys(row["failed"])
    return Answers(scores, list(unread), report)
