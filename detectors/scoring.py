"""A detector's answers to every image of some shards."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from checkpoints.folders import weight_file
from datamodules.exact import feature_width, read_batches, read_exactly
from datamodules.shards import StoredShard, count_samples, find_shards
from detectors.detector import Detector
from detectors.feature_shards import check_features
from detectors.scores import Scores
from engine.devices import Process
from engine.files import file_digest
from engine.job import Batch, Job, JobOptions, Report
from engine.run_job import run_job
from images.transforms import Edit

Rows = list[dict[str, Any]]

OPTIONS = JobOptions(batch_size=64, workers=4)
"""Defaults of scoring."""


@dataclass(frozen=True)
class Question:
    """Shards that a detector scores at a time.

    Attributes:
        name: Of the result, in the job.
        detector: Who is asked.
        shards: Of images or features.
        edit: What is done to every image first.
    """

    name: str
    detector: Detector
    shards: tuple[StoredShard, ...]
    edit: Edit | None = None

    group: ClassVar[str] = ""

    @property
    def size(self) -> int:
        return sum(shard.size for shard in self.shards)

    @property
    def mtime_ns(self) -> int:
        return max(shard.mtime_ns for shard in self.shards)

    def digest(self) -> str:
        """Sha256 of the shards' hashes."""
        return hashlib.sha256("".join(shard.sha256 for shard in self.shards).encode()).hexdigest()


class ScoreJob(Job[Question, Question, tuple[Rows, list[str]], tuple[Rows, list[str]]]):
    """Writes a file of scores for every question.

    Args:
        command: Whose job it is, such as ``detectors test``.
        folder: Of the files.
        options: Images at a time, and threads that open them.
        unit: What a question is about.
    """

    def __init__(
        self, command: str, folder: Path, options: JobOptions, unit: str = "shard"
    ) -> None:
        self.command, self.unit = command, unit  # type: ignore[misc]
        self.folder, self.options = folder, options

    def setup(self, process: Process) -> None:
        self.process = process

    def prepare(self, source: Question) -> Question:
        return source

    def step(self, batch: Batch[Question, Question]) -> list[tuple[Rows, list[str]]]:
        return [self._answers(question) for question in batch.prepared]

    def _answers(self, question: Question) -> tuple[Rows, list[str]]:
        """The records of all images with ``label`` and ``logit``, and what is wrong with those that cannot be read."""
        detector = question.detector.eval().to(self.process.device, self.process.dtype)
        urls = [shard.url for shard in question.shards]
        total, done = sum(map(count_samples, urls)), 0
        rows: Rows = []
        failed: list[str] = []
        samples = read_exactly(urls, detector.view, self.options.workers, question.edit)
        for batch in read_batches(self.options.batch_size, samples):
            failed += [record["error"] for record in batch.unread]
            logits = detector.logits_of(batch.inputs) if batch.inputs else []
            for sample, logit in zip(batch.samples, logits, strict=True):
                rows.append(sample["record"] | {"label": sample["label"], "logit": logit})
            done += len(batch.samples) + len(batch.unread)
            self.report_step(done, total)
        return rows, failed

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
        """Where the scores of a question are."""
        return self.folder / f"{name}.parquet"


@dataclass(frozen=True)
class Answers:
    """Answers to questions.

    Attributes:
        scores: By question; those without an image that can be read are left out.
        unread: Why, for every image that cannot be read.
        report: Of the job.
    """

    scores: dict[str, Scores]
    unread: list[str]
    report: Report

    def of(self, questions: Sequence[Question]) -> Scores:
        """The scores of several questions, in their order.

        Raises:
            ValueError: If there are none; the message says why.
        """
        parts = [
            self.scores[question.name] for question in questions if question.name in self.scores
        ]
        if not parts:
            msg = next(
                iter([*self.report.failed.values(), *self.unread]),
                "no samples in these shards: name other shards, or write them again",
            )
            raise ValueError(msg)
        return Scores.joined(parts)


def find_stored(detectors: Sequence[Detector], data: Sequence[str]) -> tuple[StoredShard, ...]:
    """Find the shards that detectors are to score.

    Raises:
        FileNotFoundError: If one is not there.
        ValueError: If none is named, images and features are mixed, or features are of another backbone.
    """
    shards = dict.fromkeys(shard for pattern in data for shard in find_shards(pattern))
    if not shards:
        msg = "no shards: name some with --data '[SHARDS/val-*.tar]'"
        raise ValueError(msg)
    feature_width(data, list(shards))
    for detector in detectors:
        check_features(detector, data)
    return tuple(StoredShard(shard) for shard in shards)


def shard_by_shard(
    detector: Detector, shards: Sequence[StoredShard], start: str = ""
) -> list[Question]:
    """A question for every shard, named after its place below the folder that all have in common; names begin with ``start``."""
    common = os.path.commonprefix([shard.url for shard in shards]).rfind("/") + 1  # noqa: RUF071 (commonpath would shorten ://)
    return [Question(start + shard.url[common:], detector, (shard,)) for shard in shards]


def detector_settings(name: str, detector: Detector) -> dict[str, Any]:
    """Return the settings that a detector's answers depend on, for a manifest."""
    return {"weights": file_digest(weight_file(name)), "view": asdict(detector.view)}


def score(
    job: ScoreJob,
    questions: Sequence[Question],
    record: Path,
    settings: dict[str, Any],
    **facts: Any,
) -> Answers | None:
    """Ask all questions; goes on with a stopped run.

    Args:
        job: The job.
        questions: The questions, each with a name of its own.
        record: Folder of manifest and journal.
        settings: What the answers depend on, but for the shards.
        facts: What else the manifest is to say.

    Returns:
        The answers; None on every process but the first.

    Raises:
        ValueError: If the folder holds another job.
    """
    report = run_job(
        job,
        questions,
        record,
        settings,
        JobOptions(job.options.devices, batch_size=1, workers=0),
        facts=facts,
    )
    if report is None:
        return None
    scores = {name: Scores.read(job.file(name)) for name, row in report.rows if row["images"]}
    return Answers(
        scores,
        list(dict.fromkeys(error for _, row in report.rows for error in row["failed"])),
        report,
    )
