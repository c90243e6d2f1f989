"""Batch jobs: one result and one row for each input, on any number of devices.

Every job over images is a :class:`Job` with four steps, run by :func:`engine.run_job.run_job`::

    prepare(input)             in threads: open, resize, convert to the network's input
    step(batch)                on the device: run the network on several prepared inputs
    finish(prepared, result)   in threads: round, encode, measure
    write(input, finished)     in input order: save the result, return its row

The engine does the rest:

* It claims the output folder before anything else.
* It recognizes finished inputs by size and sha256, so the same command resumes a stopped run.
* It catches the errors of each input from opening to writing. The error goes into the input's row,
  and the other inputs are processed.
* It bounds the memory of inputs and results that wait.
* It stops on SIGTERM between batches.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from engine.devices import DeviceOptions, Process
from engine.renaming import Renamed


class Input(Protocol):
    """One input of a job, such as :class:`images.inputs.ImageInput`.

    One process handles all inputs with the same ``group``, such as the images of one archive.
    ``group`` is empty for an input without one.
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
    """Prepared inputs of one step.

    Attributes:
        number: Number of its block of inputs; it does not depend on the number of processes.
        inputs: The inputs.
        positions: Index of each input in the job's list of inputs.
        prepared: Result of :meth:`Job.prepare` for each input.
    """

    number: int
    inputs: list[In]
    positions: list[int]
    prepared: list[Prepared]


class Job(ABC, Generic[In, Prepared, Result, Finished]):
    """A batch job: four abstract steps, and hooks with defaults."""

    command: ClassVar[str]
    """Command of the job, such as ``rid protect``."""

    renamed: ClassVar[Renamed] = {}
    """Present names of settings by former ones, for folders of earlier versions."""

    implied: ClassVar[Mapping[str, Any]] = {}
    """Values of settings that earlier versions did not have, for their folders."""

    unit: ClassVar[str] = "image"
    """Noun that the progress bar counts."""

    steady_batches: bool = True
    """Keep finished inputs in their batches, so that every run forms the same batches."""

    output_files: Sequence[Path] = ()
    """Files outside the record's folder that only this job writes."""

    def setup(self, process: Process) -> None:
        """Move networks to the process's device and precision.

        The engine calls it once, before the first step.
        """

    @abstractmethod
    def prepare(self, source: In) -> Prepared:
        """Open an input and convert it for the network.

        The engine calls it in threads.

        Raises:
            ValueError: If the input cannot be used; the message names it.
        """

    @abstractmethod
    def step(self, batch: Batch[In, Prepared]) -> Sequence[Result]:
        """Compute the results of a batch, one for each input."""

    @abstractmethod
    def finish(self, prepared: Prepared, result: Result) -> Finished:
        """Turn a result into the value that :meth:`write` saves.

        The engine calls it in threads.

        Raises:
            ValueError: If the result is invalid; the message says why.
        """

    @abstractmethod
    def write(self, source: In, finished: Finished) -> dict[str, Any]:
        """Save a result and return its row of plain values.

        The engine calls it in one thread, in the order of the inputs.
        """

    def exists(self, source: In, row: dict[str, Any]) -> bool:
        """Return True if the saved result of a row still exists."""
        return True

    def earlier_rows(self, record: Path) -> dict[str, dict[str, Any]]:
        """Read rows by input name that a version without journals left in a folder."""
        return {}

    def input_bytes(self, source: In) -> int:
        """Return the peak memory of one input while it is processed, in bytes."""
        return source.size

    def prepared_bytes(self, source: In) -> int:
        """Return the memory of one prepared input, in bytes.

        The engine splits a batch whose prepared inputs exceed its memory limit.
        """
        return self.input_bytes(source)

    report_step: Callable[[int, int], None] = staticmethod(lambda step, steps: None)
    """Report the progress of a long step: number of iterations done, and their total.

    The engine shows it on the progress bar, and stops the job after SIGTERM.
    """

    def blocks(self, inputs: Sequence[In], batch_size: int) -> list[list[int]]:
        """Group the indices of consecutive inputs into batches of one group each."""
        blocks: list[list[int]] = []
        for index, source in enumerate(inputs):
            fits = (
                bool(blocks)
                and len(blocks[-1]) < batch_size
                and inputs[blocks[-1][0]].group == source.group
            )
            if fits:
                blocks[-1].append(index)
            else:
                blocks.append([index])
        return blocks

    def begin_group(self, group: str) -> None:
        """Run before the first input of a group."""

    def end_group(self, group: str) -> None:
        """Run after all inputs of a group are written."""


@dataclass(frozen=True)
class JobOptions:
    """Settings of a run that do not change its results.

    Attributes:
        devices: Devices, nodes and precision.
        batch_size: Inputs of one batch, at least 1.
        workers: Threads that open and finish inputs while the network runs; 0 for none.
        alone: Use this process only. A short job of the first process after a shared one needs it.
    """

    devices: DeviceOptions = field(default_factory=DeviceOptions)
    batch_size: int = 8
    workers: int = 2
    alone: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.workers < 0:
            msg = (
                "batch_size must be at least 1 and workers at least 0, "
                f"got {self.batch_size} and {self.workers}"
            )
            raise ValueError(msg)


@dataclass(frozen=True)
class Report:
    """Outcome of a job.

    Attributes:
        rows: Name and row of every finished input, in the order of the inputs.
        failed: Error message by name, for every failed input.
        skipped: Reason by name, for every file that the search for inputs skipped.
        done_before: Number of rows that an earlier run wrote.
        stale: Names of results in the folder whose inputs are no longer given.
    """

    rows: list[tuple[str, dict[str, Any]]]
    failed: dict[str, str]
    skipped: dict[str, str]
    done_before: int
    stale: list[str]

    @property
    def nothing_to_do(self) -> bool:
        """Return True if an earlier run finished every input."""
        return self.done_before == len(self.rows) > 0 and not self.failed

    @property
    def stale_words(self) -> str:
        """Note on the results whose inputs are no longer given; empty without any."""
        if not self.stale:
            return ""
        if len(self.stale) == 1:
            return f"1 result belongs to an input that is no longer given: {self.stale[0]}"
        return (
            f"{len(self.stale)} results belong to inputs that are no longer given, "
            f"such as {self.stale[0]}"
        )

    def counts(self) -> dict[str, int]:
        """Count the inputs for the manifest; done + failed + skipped is their total."""
        return {"done": len(self.rows), "failed": len(self.failed), "skipped": len(self.skipped)}
