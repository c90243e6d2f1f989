"""One process of a batch job: inputs are prepared ahead, stepped in batches, finished and written in order."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from engine.devices import Process
from engine.job import Batch, Job, JobOptions
from engine.journal import Entry, Journal
from engine.ordered import OrderedThreadPool, map_ahead
from engine.progress import hide_bars, progress
from engine.stopping import EndsJob, Stopping

MEMORY = 512 << 20
"""Bytes of prepared inputs, and of results that wait to be finished, that are held ahead of their turn."""

FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
"""Errors of the output, which no other input would escape."""

Unit = list[tuple[int, list[int]]]
"""Numbers and places of blocks that one process handles in order."""


class _Failed(Exception):
    """What went wrong with one input."""


class JobWorker:
    """One process at work.

    Args:
        job: The job.
        inputs: All inputs of the job.
        finished: Places of the inputs that an earlier run has done.
        journal: This process's.
        process: This process among those of the job.
        options: How the job runs.
        stopping: Whether the job was asked to stop.
    """

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
        self.pool: OrderedThreadPool[tuple[int, Any]] = OrderedThreadPool(
            self._write, options.workers, MEMORY
        )

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
        self.job.report_step = self._report_step
        ahead = map_ahead(
            self._prepare,
            places,
            self.options.workers,
            self._weigh,
            MEMORY,
            2 * self.options.batch_size,
        )
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
                if not any(map(self._is_wanted, batch.positions)):
                    continue
                for place, prepared, result in zip(
                    batch.positions, batch.prepared, self._results(batch), strict=True
                ):
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
            weight = self.job.prepared_bytes(self.inputs[place])
            if batch.inputs and held + weight > MEMORY:
                yield batch
                batch, held = Batch(number, [], [], []), 0
            batch.inputs.append(self.inputs[place])
            batch.positions.append(place)
            batch.prepared.append(prepared)
            held += weight
        if batch.inputs:
            yield batch

    def _is_wanted(self, place: int) -> bool:
        """Whether an input's result is to be written; inputs that are done are in their batch so that it is the same as before."""
        return place not in self.finished or bool(self.inputs[place].group)

    def _weigh(self, place: int) -> int:
        try:
            return self.job.input_bytes(self.inputs[place])
        except (OSError, ValueError):  # told when it is opened
            return 0

    def _results(self, batch: Batch[Any, Any]) -> list[Any]:
        """Results of a batch; where it fails as a whole, each of its inputs is tried alone."""
        try:
            with self.process.autocast():
                return list(self.job.step(batch))
        except Exception as error:
            if len(batch.inputs) == 1 or _ends_the_job(error):
                return [self._fault(batch.positions[0], error)]
        alone = [
            Batch(batch.number, [source], [place], [prepared])
            for source, place, prepared in zip(
                batch.inputs, batch.positions, batch.prepared, strict=True
            )
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
        if _ends_the_job(error) and not (
            of_input and isinstance(error, OSError) and error.errno == errno.EIO
        ):
            raise error
        name, text = self.inputs[place].name, " ".join(str(error).split())
        if not isinstance(
            error, ValueError | OSError | RuntimeError | MemoryError | ArithmeticError
        ):
            text = f"a fault of this program ({type(error).__name__}: {text}); please report it"
        text = text or type(error).__name__
        return _Failed(text if Path(name).name in text else f"{name}: {text}")

    def _report_step(self, step: int, steps: int) -> None:
        self.bar.set_postfix_str(f"step {step}/{steps}" if step < steps else "")
        self._obey()

    def _obey(self) -> None:
        if self.stopping.requested:
            self.pool.drain()
            self.stopping.stop()


def _ends_the_job(error: Exception) -> bool:
    return isinstance(error, EndsJob) or (isinstance(error, OSError) and error.errno in FULL_DISK)
