"""Jobs that make shards of images: one shard a step, shared out over processes, whole or not at all."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from datamodules.fake2m.sharding import Origin, Troubles, describe, index_shards
from engine.devices import Process
from engine.files import file_digest
from engine.job import Batch, Job, JobOptions, Report
from engine.run_job import run_job
from images.headers import read_header
from images.shard_writer import ShardWriter


@dataclass(frozen=True)
class ShardInput:
    """A shard to make.

    Attributes:
        number: Of the shard.
        name: File name of the shard.
        source: The shard it is made of, if it is made of one.
    """

    number: int
    name: str
    source: Path | None = None

    group: ClassVar[str] = ""

    @property
    def size(self) -> int:
        return 0 if self.source is None else self.source.stat().st_size

    @property
    def mtime_ns(self) -> int:
        return 0 if self.source is None else self.source.stat().st_mtime_ns

    def digest(self) -> str:
        """Sha256 of the source; what else the shard depends on is in the job's settings."""
        return "" if self.source is None else file_digest(self.source)


@dataclass(frozen=True)
class Sample:
    """An image of a shard: its key, its file, and what is known of it beside the origin."""

    key: str
    codec: str
    content: bytes
    known: dict[str, Any]


@dataclass(frozen=True)
class LeftOut:
    """A sample that could not be made: its key, and the kind of reason."""

    key: str
    reason: str


class ShardJob(Job[ShardInput, ShardInput, dict[str, Any], dict[str, Any]]):
    """Writes a shard for each input.

    Args:
        origin: Of all images.
        output: Folder of the shards.
    """

    unit = "shard"

    def __init__(self, origin: Origin, output: Path) -> None:
        self.origin, self.output = origin, output

    @property
    def stem(self) -> str:
        """What the names of all shards begin with."""
        return f"{self.origin.split}-{self.origin.subset}"

    def setup(self, process: Process) -> None:
        self.device = process.device
        self.open_models(process)

    @abstractmethod
    def open_models(self, process: Process) -> None:
        """Open what makes images."""

    @abstractmethod
    def make(self, shard: ShardInput) -> Iterator[Sample | LeftOut]:
        """The images of a shard; the same whichever process makes it."""

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
        return {file.name: {"left_out": {}} for file in self.output.glob(f"{self.stem}-*.tar")}

    def _write(self, shard: ShardInput) -> dict[str, Any]:
        left_out: dict[str, list[str]] = {}
        writer = ShardWriter(self.output / shard.name)
        try:
            for sample in self.make(shard):
                if isinstance(sample, LeftOut):
                    left_out.setdefault(sample.reason, []).append(sample.key)
                else:
                    self._add(writer, sample)
        except BaseException:
            writer.abandon()
            raise
        writer.close()
        return {"left_out": left_out}

    def _add(self, writer: ShardWriter, sample: Sample) -> None:
        header = read_header(sample.content)
        assert header is not None
        place = f"{self.origin.subset}/{sample.key}.{sample.codec}"
        record = describe(place, sample.content, self.origin) | asdict(header) | sample.known
        writer.add(f"{sample.key}.{sample.codec}", sample.content)
        writer.add(f"{sample.key}.json", json.dumps(record).encode())


def run_shard_job(
    job: ShardJob, sources: Sequence[Path | None], settings: dict[str, Any], options: JobOptions
) -> tuple[dict[str, Any], Report] | None:
    """Make all shards and their index; goes on with a stopped job.

    Args:
        job: What makes them.
        sources: The shard that each is made of; None for those made of nothing.
        settings: What the images depend on.
        options: How the job runs.

    Returns:
        The index and the outcome; None on every process but the first.

    Raises:
        ValueError: If the subset's shards there were made with other settings, or no image could be made.
    """
    inputs = [
        ShardInput(number, f"{job.stem}-{number:06d}.tar", source)
        for number, source in enumerate(sources)
    ]
    one_by_one = JobOptions(options.devices, batch_size=1, workers=0)
    report = run_job(job, inputs, job.output / f"{job.stem}.run", settings, one_by_one)
    if report is None:
        return None
    troubles = Troubles()
    for name, row in report.rows:
        for reason, keys in row["left_out"].items():
            for key in keys:
                troubles.add(reason, f"{name}, {key}")
    for error in report.failed.values():
        troubles.add("shards that failed", error)
    index = index_shards(job.output, job.origin, troubles)
    if not index["samples"]:
        reasons = dict(Counter(troubles.counts)) or "the source is empty"
        msg = f"no image could be made: {reasons}; {next((names[0] for names in troubles.names.values()), '')}"
        raise ValueError(msg)
    return index, report
