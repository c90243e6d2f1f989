"""Jobs that write one shard of images per step."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from datamodules.fake2m.origin import Origin, sample_record
from datamodules.fake2m.subset_writer import LeftOutFiles, finished_shards, index_shards
from engine.devices import Process
from engine.files import file_digest
from engine.job import Batch, Job, JobOptions, Report
from engine.run_job import run_job
from images.headers import read_header
from images.shard_writer import ShardWriter


@dataclass(frozen=True)
class ShardInput:
    """Shard to write.

    Attributes:
        number: Number of the shard, from 0.
        name: File name of the shard.
        source: Shard that it is derived from, if any.
    """

    number: int
    name: str
    source: Path | None = None

    group: ClassVar[str] = ""

    @property
    def size(self) -> int:
        """Size of the source in bytes."""
        return 0 if self.source is None else self.source.stat().st_size

    @property
    def mtime_ns(self) -> int:
        """Modification time of the source in nanoseconds."""
        return 0 if self.source is None else self.source.stat().st_mtime_ns

    def digest(self) -> str:
        """Return the source's SHA-256; the job's settings cover everything else."""
        return "" if self.source is None else file_digest(self.source)


@dataclass(frozen=True)
class NewSample:
    """Image to write into a shard.

    Attributes:
        key: Key of the sample.
        codec: Codec of the file, and its suffix.
        content: Bytes of the file.
        facts: Entries of its record beside origin and header.
    """

    key: str
    codec: str
    content: bytes
    facts: dict[str, Any]


@dataclass(frozen=True)
class SkippedSample:
    """Sample that could not be made: its key and the reason."""

    key: str
    reason: str


class ShardJob(Job[ShardInput, ShardInput, dict[str, Any], dict[str, Any]]):
    """Job that writes a shard for each input.

    Args:
        origin: Origin of all images.
        output: Folder of the shards.
    """

    unit = "shard"

    def __init__(self, origin: Origin, output: Path) -> None:
        self.origin = origin
        self.output = output

    def setup(self, process: Process) -> None:
        self.device = process.device
        self.open_models(process)

    @abstractmethod
    def open_models(self, process: Process) -> None:
        """Load the models that make images."""

    @abstractmethod
    def make(self, shard: ShardInput) -> Iterator[NewSample | SkippedSample]:
        """Yield the samples of a shard; equal in every process."""

    def prepare(self, source: ShardInput) -> ShardInput:
        return source

    def step(self, batch: Batch[ShardInput, ShardInput]) -> list[dict[str, Any]]:
        return [self._write(shard) for shard in batch.prepared]

    def finish(self, prepared: ShardInput, result: dict[str, Any]) -> dict[str, Any]:
        return result

    def write(self, source: ShardInput, finished: dict[str, Any]) -> dict[str, Any]:
        return finished

    def exists(self, source: ShardInput, row: dict[str, Any]) -> bool:
        return (self.output / source.name).is_file()

    def input_bytes(self, source: ShardInput) -> int:
        return 0

    def earlier_rows(self, record: Path) -> dict[str, dict[str, Any]]:
        shards = self.output.glob(f"{self.origin.stem}-*.tar")
        return {file.name: {"left_out": {}} for file in shards}

    def _write(self, shard: ShardInput) -> dict[str, Any]:
        """Write a shard atomically, and return the skipped keys by reason."""
        left_out: dict[str, list[str]] = {}
        writer = ShardWriter(self.output / shard.name)
        try:
            for sample in self.make(shard):
                if isinstance(sample, SkippedSample):
                    left_out.setdefault(sample.reason, []).append(sample.key)
                else:
                    self._add(writer, sample)
        except BaseException:
            writer.abandon()
            raise
        writer.close()
        return {"left_out": left_out}

    def _add(self, writer: ShardWriter, sample: NewSample) -> None:
        """Write a sample's image and record."""
        header = read_header(sample.content)
        assert header is not None
        path = f"{self.origin.subset}/{sample.key}.{sample.codec}"
        record = sample_record(path, sample.content, self.origin) | asdict(header) | sample.facts
        writer.add(f"{sample.key}.{sample.codec}", sample.content)
        writer.add(f"{sample.key}.json", json.dumps(record).encode())


def run_shard_job(
    job: ShardJob, sources: Sequence[Path | None], settings: dict[str, Any], options: JobOptions
) -> tuple[dict[str, Any], Report] | None:
    """Write all shards and their index; a stopped job is continued.

    Args:
        job: The job.
        sources: Source of each shard; None for shards without one.
        settings: Settings that the images depend on.
        options: Devices of the job.

    Returns:
        The index and the job's report; None on every process but the first.

    Raises:
        ValueError: If the folder holds the subset with other settings, or no image could be made.
    """
    # one shard per step, on all processes
    inputs = []
    for number, source in enumerate(sources):
        inputs.append(ShardInput(number, f"{job.origin.stem}-{number:06d}.tar", source))
    one_by_one = JobOptions(options.devices, batch_size=1, workers=0)
    record = job.output / f"{job.origin.stem}.run"
    report = run_job(job, inputs, record, settings, one_by_one)
    if report is None:
        return None
    # the index, with all samples that are missing
    left_out = LeftOutFiles()
    origins = {shard.name: shard.source.name for shard in inputs if shard.source is not None}
    for name, row in report.rows:
        for reason, keys in row["left_out"].items():
            for key in keys:
                left_out.add(reason, f"{origins.get(name, name)}, {key}")
    for error in report.failed.values():
        left_out.add("shards that failed", error)
    index = index_shards(job.output, job.origin, left_out)
    if not index["samples"]:
        raise ValueError(_no_samples_message(job, left_out))
    return index, report


def _no_samples_message(job: ShardJob, left_out: LeftOutFiles) -> str:
    """Explain why the shards of a finished job hold no samples."""
    if left_out.counts:
        example = next(iter(left_out.names.values()))[0]
        return f"no image could be made: {dict(left_out.counts)}; {example}"
    if shards := finished_shards(job.output, job.origin.stem):
        names = ", ".join(shard.name for shard in shards[:3])
        return f"{job.output}: no samples in {names}: delete these shards and run again"
    return "no image could be made: the source is empty"
