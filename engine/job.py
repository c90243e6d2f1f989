"""The batch job: inputs in, a result and a row for each, over any number of devices.

Every job over images is a :class:`Job` with four steps, run by :func:`run_job`::

    prepare(input)             in threads: open, bring to the network's view
    step(batch)                on the device: several prepared inputs at once
    finish(prepared, result)   in threads: round, encode, measure
    write(input, finished)     in order: put the result in its place, return its row

The rest is the same for all jobs. The output folder is claimed before anything else. Inputs that are done are known by
size and sha256. Each input is fenced: what goes wrong with it, from opening to writing, is its row's error, and the
others are done. Memory is bounded whatever comes. SIGTERM is obeyed between batches. The same command goes on.
"""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from engine.devices import DeviceOptions, Process, alone, first_process, start
from engine.files import locked, remove_partials, remove_partials_of
from engine.journal import Entry, Journal, join_journals, read_journal
from engine.manifest import claim, write_manifest
from engine.ordered import OrderedThreadPool, map_ahead
from engine.progress import hide_bars, progress
from engine.stopping import EndsJob, Stopping, stop_on_sigterm

MEMORY = 512 << 20
"""Bytes of prepared inputs, and of results that wait to be finished, that are held ahead of their turn."""

FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
"""Errors of the output, which no other input would escape."""


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
        places: Where each is in the job's list of inputs.
        prepared: What :meth:`Job.prepare` made of each.
    """

    number: int
    inputs: list[In]
    places: list[int]
    prepared: list[Prepared]


class Job(ABC, Generic[In, Prepared, Result, Finished]):
    """What differs from job to job; see the module."""

    command: ClassVar[str]
    """Such as ``rid protect``."""

    unit: ClassVar[str] = "image"
    """What the progress bar counts."""

    steady_batches: ClassVar[bool] = True
    """Whether inputs that are done take part in their batch again, so that it is the same in every run."""

    beside: Sequence[Path] = ()
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

    def weigh(self, source: In) -> int:
        """Bytes that an input takes while it is worked on."""
        return source.size

    def holds(self, source: In) -> int:
        """Bytes that an input takes once it is prepared; a batch is cut where they are more than memory allows."""
        return self.weigh(source)

    tick: Callable[[int, int], None] = staticmethod(lambda step, steps: None)
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
        before: How many of the rows an earlier run made.
        stale: Names of results in the folder whose inputs are not among these.
    """

    rows: list[tuple[str, dict[str, Any]]]
    failed: dict[str, str]
    skipped: dict[str, str]
    before: int
    stale: list[str]

    @property
    def nothing_to_do(self) -> bool:
        """Whether an earlier run had done everything."""
        return self.before == len(self.rows) > 0 and not self.failed

    def counts(self) -> dict[str, int]:
        """For the manifest: done + failed + skipped is what went in."""
        return {"done": len(self.rows), "failed": len(self.failed), "skipped": len(self.skipped)}


def run_job(
    job: Job[Any, Any, Any, Any],
    inputs: Sequence[Any],
    record: Path,
    settings: dict[str, Any],
    options: JobOptions,
    skipped: dict[str, str] | None = None,
    failed: dict[str, str] | None = None,
    facts: dict[str, Any] | None = None,
) -> Report | None:
    """Run a job, or go on with it.

    Args:
        job: The job.
        inputs: Its inputs, each with a name of its own.
        record: The folder of its manifest and journal: the output folder, or one beside an output file.
        settings: What the results depend on, but for the inputs.
        options: How it runs.
        skipped: Why, by name, for what was passed over when the inputs were looked for.
        failed: Why, by name, for inputs that failed before the job.
        facts: What else the manifest is to say.

    Returns:
        The outcome; None on every process but the first.

    Raises:
        ValueError: If the folder holds another job, or another run is at work in it.
        OSError: If the disk is full or cannot be written to.
        EndsJob: If a step raised it.
        Stopped: After SIGTERM.
    """
    if not first_process():
        _work(job, inputs, record, options, Stopping())
        return None
    with locked(record):
        claim(record, job.command, settings)
        remove_partials(record)
        remove_partials_of(job.beside)
        with stop_on_sigterm() as stopping:
            before = _work(job, inputs, record, options, stopping)
        entries = _earlier_entries(job, inputs, record) | read_journal(record)
        names = {source.name for source in inputs}
        done = [entries[source.name] for source in inputs if source.name in entries]
        rows = [(entry.name, entry.row) for entry in done if entry.row is not None and not entry.error]
        wrong = {entry.name: entry.error for entry in done if entry.error}
        stale = sorted(set(entries) - names)
        join_journals(record, [*done, *(entries[name] for name in stale)])
        report = Report(rows, (failed or {}) | wrong, skipped or {}, before, stale)
        write_manifest(
            record,
            command=job.command,
            finished=True,
            settings=settings,
            counts=report.counts(),
            failed=report.failed,
            skipped=report.skipped,
            stale=stale,
            **(facts or {}),
        )
        return report


def _work(job: Job[Any, Any, Any, Any], inputs: Sequence[Any], record: Path, options: JobOptions, stopping: Stopping) -> int:
    """Do this process's share; returns how many inputs were done before."""
    entries = read_journal(record) or _earlier_entries(job, inputs, record)
    finished = {place for place, source in enumerate(inputs) if _is_done(job, source, entries.get(source.name))}
    units = _units(job, inputs, options.batch_size, finished)
    process = alone(options.devices) if options.alone else start(options.devices, at_most=max(1, len(units)))
    stopping.process = process
    try:
        process.barrier(stopping.check)  # all have read the journal, and the folder is claimed
        if units:
            _Worker(job, inputs, finished, Journal(record, process.rank), process, options, stopping).run(units)
        process.barrier(stopping.check)
    except BaseException:
        process.end_others()
        raise
    return len(finished)


def _earlier_entries(job: Job[Any, Any, Any, Any], inputs: Sequence[Any], record: Path) -> dict[str, Entry]:
    """Entries made of an earlier version's rows: by name alone, as it kept no hashes."""
    rows = job.earlier_rows(record)
    known = [source for source in inputs if source.name in rows]
    return {source.name: Entry(source.name, source.size, source.mtime_ns, "", rows[source.name]) for source in known}


def _is_done(job: Job[Any, Any, Any, Any], source: Any, entry: Entry | None) -> bool:
    """Whether an input has its result: of the very bytes it has now."""
    if entry is None or (entry.error and not source.group):
        return False
    if entry.row is not None and not job.exists(source, entry.row):
        return False
    if (entry.size, entry.mtime_ns) == (source.size, source.mtime_ns):
        return True
    return entry.size == source.size and entry.sha256 == source.digest()


Unit = list[tuple[int, list[int]]]
"""Numbers and places of blocks that one process handles in order."""


def _units(job: Job[Any, Any, Any, Any], inputs: Sequence[Any], batch_size: int, finished: set[int]) -> list[Unit]:
    """What there is to do; a group of which anything is to be done is done again as a whole."""
    units: list[tuple[str, Unit]] = []
    taken = [place for place in range(len(inputs)) if job.steady_batches or place not in finished]
    for number, block in enumerate(job.blocks([inputs[place] for place in taken], batch_size)):
        places = [taken[place] for place in block]
        group = inputs[places[0]].group
        if group and units and units[-1][0] == group:
            units[-1][1].append((number, places))
        else:
            units.append((group, [(number, places)]))
    return [unit for _, unit in units if not finished.issuperset(place for _, places in unit for place in places)]


class _Failed(Exception):
    """What went wrong with one input."""


class _Worker:
    """One process at work."""

    def __init__(
        self,
        job: Job[Any, Any, Any, Any],
        inputs: Sequence[Any],
        finished: set[int],
        journal: Journal,
        process: Process,
        options: JobOptions,
        stopping: Stopping,
    ) -> None:
        self.job, self.inputs, self.finished, self.journal = job, inputs, finished, journal
        self.process, self.options, self.stopping = process, options, stopping
        self.pool: OrderedThreadPool[tuple[int, Any]] = OrderedThreadPool(self._write, options.workers, MEMORY)

    def run(self, units: list[Unit]) -> None:
        """Do every unit that is this process's."""
        mine = units[self.process.rank :: self.process.world]
        places = [place for unit in mine for _, block in unit for place in block]
        if self.process.rank > 0:
            hide_bars()
        todo = sum(self._is_wanted(place) for place in places)
        already = len(self.inputs) - todo if self.process.world == 1 else 0
        self.bar = progress(total=todo + already, unit=self.job.unit, initial=already)
        self.job.setup(self.process)
        self.job.tick = self._tick
        ahead = map_ahead(self._prepare, places, self.options.workers, self._weigh, MEMORY, 2 * self.options.batch_size)
        try:
            for unit in mine:
                self._do(unit, ahead)
            self.pool.drain()
        finally:
            ahead.close()
            self.pool.close()
            self.journal.close()
            self.bar.close()

    def _do(self, unit: Unit, ahead: Iterator[tuple[int, Any]]) -> None:
        group = self.inputs[unit[0][1][0]].group
        if group:
            self.job.begin_group(group)
        for number, places in unit:
            for batch in self._batches(number, islice(ahead, len(places))):
                if not any(map(self._is_wanted, batch.places)):
                    continue
                for place, prepared, result in zip(batch.places, batch.prepared, self._results(batch), strict=True):
                    if self._is_wanted(place):
                        self.pool.add(self._weigh(place), self._finish, place, prepared, result)
                self._obey()
        if group:
            self.pool.drain()
            self.job.end_group(group)

    def _batches(self, number: int, ahead: Iterator[tuple[int, Any]]) -> Iterator[Batch[Any, Any]]:
        """A block's inputs, prepared, in batches that memory holds; those that cannot be opened are told."""
        batch: Batch[Any, Any] = Batch(number, [], [], [])
        held = 0
        for place, prepared in ahead:
            if isinstance(prepared, _Failed) and not self._is_wanted(place):
                continue  # done while it could still be opened
            if isinstance(prepared, _Failed):
                self.pool.add(0, self._finish, place, None, prepared)
                continue
            weight = self.job.holds(self.inputs[place])
            if batch.inputs and held + weight > MEMORY:
                yield batch
                batch, held = Batch(number, [], [], []), 0
            batch.inputs.append(self.inputs[place])
            batch.places.append(place)
            batch.prepared.append(prepared)
            held += weight
        if batch.inputs:
            yield batch

    def _is_wanted(self, place: int) -> bool:
        """Whether an input's result is to be written; inputs that are done are in their batch so that it is the same as before."""
        return place not in self.finished or bool(self.inputs[place].group)

    def _weigh(self, place: int) -> int:
        try:
            return self.job.weigh(self.inputs[place])
        except (OSError, ValueError):  # told when it is opened
            return 0

    def _results(self, batch: Batch[Any, Any]) -> list[Any]:
        """Results of a batch; where it fails as a whole, each of its inputs is tried alone."""
        try:
            with self.process.autocast():
                return list(self.job.step(batch))
        except Exception as error:
            if len(batch.inputs) == 1 or _ends_the_job(error):
                return [self._fault(batch.places[0], error)]
        alone = [
            Batch(batch.number, [source], [place], [prepared])
            for source, place, prepared in zip(batch.inputs, batch.places, batch.prepared, strict=True)
        ]
        return [self._results(one)[0] for one in alone]

    def _prepare(self, place: int) -> Any:
        try:
            return self.job.prepare(self.inputs[place])
        except Exception as error:
            return self._fault(place, error, of_input=True)

    def _finish(self, place: int, prepared: Any, result: Any) -> tuple[int, Any]:
        if isinstance(result, _Failed):
            return place, result
        try:
            return place, self.job.finish(prepared, result)
        except Exception as error:
            return place, self._fault(place, error)

    def _write(self, finished: tuple[int, Any]) -> None:
        place, result = finished
        source = self.inputs[place]
        row = None
        if not isinstance(result, _Failed):
            try:
                row = self.job.write(source, result)
            except Exception as error:
                result = self._fault(place, error)
        self.journal.add(self._entry(source, row, str(result) if row is None else ""))
        self.bar.update()

    def _entry(self, source: Any, row: dict[str, Any] | None, error: str) -> Entry:
        try:
            digest = source.digest()
        except OSError:
            digest = ""
        return Entry(source.name, source.size, source.mtime_ns, digest, row, error)

    def _fault(self, place: int, error: Exception, of_input: bool = False) -> _Failed:
        """What a row says of an error.

        Args:
            place: The input's.
            error: What was raised.
            of_input: While it was read: a disk that fails there has other files that can be read.

        Raises:
            Exception: The error itself, if every other input would meet it, too.
        """
        if _ends_the_job(error) and not (of_input and isinstance(error, OSError) and error.errno == errno.EIO):
            raise error
        name, text = self.inputs[place].name, " ".join(str(error).split())
        if not isinstance(error, ValueError | OSError | RuntimeError | MemoryError | ArithmeticError):
            text = f"a fault of this program ({type(error).__name__}: {text}); please report it"
        text = text or type(error).__name__
        return _Failed(text if Path(name).name in text else f"{name}: {text}")

    def _tick(self, step: int, steps: int) -> None:
        self.bar.set_postfix_str(f"step {step}/{steps}" if step < steps else "")
        self._obey()

    def _obey(self) -> None:
        if self.stopping.asked:
            self.pool.drain()
            self.stopping.stop()


def _ends_the_job(error: Exception) -> bool:
    return isinstance(error, EndsJob) or (isinstance(error, OSError) and error.errno in FULL_DISK)
