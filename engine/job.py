"""The batch job: inputs in, a result and a row for each, over any number of devices.

Every job over images is a :class:`Job` with four steps, run by :func:`engine.run_job.run_job`::

    prepare(input)             in threads: open, bring to the network's view
    step(batch)                on the device: several prepared inputs at once
    finish(prepared, result)   in threads: round, encode, measure
    write(input, finished)     in order: put the result in its place, return its row

The rest is the same for all jobs. The output folder is claimed before anything else. Inputs that are done are known by
size and sha256. Each input is fenced: what goes wrong with it, from opening to writing, is its row's error, and the
others are done. Memory is bounded whatever comes. SIGTERM is obeyed between batches. The same command goes on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from engine.devices import DeviceOptions, Process


class Input(Protocol):
    """What a job works on, such as :class:`images.inputs.ImageInput`.

    ``group`` names inputs that are handled together by one process, such as those of one archive; empty for one that
    stands alone.
    """

    @property
    def name(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def mtime_ns(self) -> int: ...
    def digest(self) -> str: ...


In = TypeVar("In", bound=Input)
Prepared = TypeVar("Prepared")
Result = TypeVar("Result")
Finished = TypeVar("Finished")


@dataclass(frozen=True)
class Batch(Generic[In, Prepared]):
    """Prepared inputs that a step takes together.

    Attributes:
        number: Of the block of inputs it is part of; the same however many processes there are.
        inputs: The inputs.
        positions: Where each is in the job's list of inputs.
        prepared: What :meth:`Job.prepare` made of each.
    """

    number: int
    inputs: list[In]
    positions: list[int]
    prepared: list[Prepared]


class Job(ABC, Generic[In, Prepared, Result, Finished]):
    """What differs from job to job; see the module."""

    command: ClassVar[str]
    """Such as ``rid protect``."""

    unit: ClassVar[str] = "image"
    """What the progress bar counts."""

    steady_batches: ClassVar[bool] = True
    """Whether inputs that are done take part in their batch again, so that it is the same in every run."""

    output_files: Sequence[Path] = ()
    """Files that only this job writes, but for those in the folder of its record."""

    def setup(self, process: Process) -> None:
        """Move networks to the process's device and precision; called once, before the first step."""

    @abstractmethod
    def prepare(self, source: In) -> Prepared:
        """Open an input; called in threads.

        Raises:
            ValueError: If it cannot be used; the message names it.
        """

    @abstractmethod
    def step(self, batch: Batch[In, Prepared]) -> Sequence[Result]:
        """Results of a batch, one for each input."""

    @abstractmethod
    def finish(self, prepared: Prepared, result: Result) -> Finished:
        """What is written; called in threads.

        Raises:
            ValueError: If the result is of no use; the message says why.
        """

    @abstractmethod
    def write(self, source: In, finished: Finished) -> dict[str, Any]:
        """Put a result in its place, and return its row of plain values; called in the order of the inputs, in one thread."""

    def exists(self, source: In, row: dict[str, Any]) -> bool:
        """Whether the result that a row tells of is still in its place."""
        return True

    def earlier_rows(self, record: Path) -> dict[str, dict[str, Any]]:
        """Rows by input that a version without journals left in a folder."""
        return {}

    def input_bytes(self, source: In) -> int:
        """Bytes that an input takes while it is worked on."""
        return source.size

    def prepared_bytes(self, source: In) -> int:
        """Bytes that an input takes once it is prepared; a batch is cut where they are more than memory allows."""
        return self.input_bytes(source)

    report_step: Callable[[int, int], None] = staticmethod(lambda step, steps: None)
    """Tells how far a long step is: steps done, and of how many. Shows it, and stops the job if it was asked to."""

    def blocks(self, inputs: Sequence[In], batch_size: int) -> list[list[int]]:
        """Places of the inputs that are taken together: consecutive ones, never of two groups."""
        found: list[list[int]] = []
        for place, source in enumerate(inputs):
            if found and len(found[-1]) < batch_size and inputs[found[-1][0]].group == source.group:
                found[-1].append(place)
            else:
                found.append([place])
        return found

    def begin_group(self, group: str) -> None:
        """Called before the first input of a group."""

    def end_group(self, group: str) -> None:
        """Called when all inputs of a group are written."""


@dataclass(frozen=True)
class JobOptions:
    """How a job runs; its results do not depend on it.

    Attributes:
        devices: Where.
        batch_size: Inputs taken together.
        workers: Threads that open and finish inputs beside the network; 0 for none.
        alone: Work in this process only, whatever others there are; for a short job of the first process after a shared one.
    """

    devices: DeviceOptions = field(default_factory=DeviceOptions)
    batch_size: int = 8
    workers: int = 2
    alone: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.workers < 0:
            msg = f"batch_size must be at least 1 and workers at least 0, got {self.batch_size} and {self.workers}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Report:
    """The outcome of a job.

    Attributes:
        rows: Of every input that is done, in the inputs' order, with its name.
        failed: Why, by name, for every input that is not.
        skipped: Why, by name, for everything that was passed over.
        done_before: How many of the rows an earlier run made.
        stale: Names of results in the folder whose inputs are not among these.
    """

    rows: list[tuple[str, dict[str, Any]]]
    failed: dict[str, str]
    skipped: dict[str, str]
    done_before: int
    stale: list[str]

    @property
    def nothing_to_do(self) -> bool:
        """Whether an earlier run had done everything."""
        return self.done_before == len(self.rows) > 0 and not self.failed

    def counts(self) -> dict[str, int]:
        """For the manifest: done + failed + skipped is what went in."""
        return {"done": len(self.rows), "failed": len(self.failed), "skipped": len(self.skipped)}
